"""What the official OpenAI client makes of a response, whichever of its two kinds asks."""

import asyncio
import operator

import openai

# The same every time: nothing random, nothing left over from the prompt before.
SAME = {"seed": 1, "temperature": 0, "extra_body": {"cache_prompt": False}}
MESSAGES = [{"role": "user", "content": "Say something, please: äöü €"}]

# One for all calls: a client's connections belong to the loop that made them.
LOOP = asyncio.Runner()

# What two responses to one question may differ in.
VOLATILE = {"created", "timings"}


def call(client, what, seen=lambda chunk: None, **ask):
    """A response, or the chunks of a stream; `seen` is told of each as it comes."""
    create = operator.attrgetter(what)(client).create
    if isinstance(client, openai.OpenAI):
        response = create(**ask)
        return [(seen(chunk), chunk)[1] for chunk in response] if ask.get("stream") else response

    async def run():
        response = await create(**ask)
        return [(seen(chunk), chunk)[1] async for chunk in response] if ask.get("stream") else response

    return LOOP.run(run())


def plain(response):
    """A response without what differs from one to the next; of an id, its own or a call's, only that there is one."""
    def cut(value):
        match value:
            case dict():
                return {key: bool(of) if key == "id" else cut(of) for key, of in value.items() if key not in VOLATILE}
            case list():
                return [cut(of) for of in value]
            case _:
                return value

    return cut(response.model_dump())

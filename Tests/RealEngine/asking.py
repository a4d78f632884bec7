"""What the official OpenAI client makes of an answer, whichever of its two kinds asks."""

import asyncio
import operator

import openai

# The same every time: nothing random, nothing left over from the prompt before.
SAME = {"seed": 1, "temperature": 0, "extra_body": {"cache_prompt": False}}
MESSAGES = [{"role": "user", "content": "Say something, please: äöü €"}]

# One for all calls: a client's connections belong to the loop that made them.
LOOP = asyncio.Runner()

# What two answers to one question may differ in.
VOLATILE = {"created", "timings"}


def call(client, what, seen=lambda chunk: None, **ask):
    """An answer, or the chunks of a stream; `seen` is told of each as it comes."""
    create = operator.attrgetter(what)(client).create
    if isinstance(client, openai.OpenAI):
        answer = create(**ask)
        return [(seen(chunk), chunk)[1] for chunk in answer] if ask.get("stream") else answer

    async def run():
        answer = await create(**ask)
        return [(seen(chunk), chunk)[1] async for chunk in answer] if ask.get("stream") else answer

    return LOOP.run(run())


def plain(answer):
    """An answer without what differs from one to the next; of an id, its own or a call's, only that there is one."""
    def cut(value):
        match value:
            case dict():
                return {key: bool(of) if key == "id" else cut(of) for key, of in value.items() if key not in VOLATILE}
            case list():
                return [cut(of) for of in value]
            case _:
                return value

    return cut(answer.model_dump())

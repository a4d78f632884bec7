"""The official Ollama client uses other paths, which a provider refuses with a clear error."""

import asyncio

import ollama
import pytest

SAY = [{"role": "user", "content": "a"}]
CALLS = {
    "chat": lambda client: client.chat(model="tiny", messages=SAY),
    "chat-stream": lambda client: client.chat(model="tiny", messages=SAY, stream=True),
    "generate": lambda client: client.generate(model="tiny", prompt="a"),
    "generate-stream": lambda client: client.generate(model="tiny", prompt="a", stream=True),
    "embed": lambda client: client.embed(model="tiny", input="a"),
    "embeddings": lambda client: client.embeddings(model="tiny", prompt="a"),
    "list": lambda client: client.list(),
    "show": lambda client: client.show("tiny"),
    "ps": lambda client: client.ps(),
    "pull": lambda client: client.pull("tiny"),
    "pull-stream": lambda client: client.pull("tiny", stream=True),
    "push": lambda client: client.push("tiny"),
    "create": lambda client: client.create("tiny", from_="other"),
    "copy": lambda client: client.copy("tiny", "other"),
    "delete": lambda client: client.delete("tiny"),
}


@pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("kind", [ollama.Client, ollama.AsyncClient])
def test_a_path_that_is_not_served(provider, kind, ask):
    async def run():
        response = await ask(client)
        # A stream asks when it is looked at.
        if hasattr(response, "__aiter__"):
            async for _ in response:
                pass

    client = kind(host=provider.url)
    with pytest.raises(ollama.ResponseError) as refused:
        if kind is ollama.AsyncClient:
            asyncio.run(run())
        else:
            list(ask(client))
    assert refused.value.status_code == 404
    # What its user gets to read says what there is instead.
    assert "Not found; there are /health, /busy, /v1/chat/completions and /v1/completions" in str(refused.value)

"""The official Ollama client speaks paths of its own, which a provider does not serve, and is told so."""

import asyncio

import ollama
import pytest

CALLS = [
    lambda client: client.chat(model="tiny", messages=[{"role": "user", "content": "a"}]),
    lambda client: client.generate(model="tiny", prompt="a"),
    lambda client: client.list(),
    lambda client: client.pull("tiny"),
    lambda client: client.delete("tiny"),
]


@pytest.mark.parametrize("ask", CALLS)
@pytest.mark.parametrize("kind", [ollama.Client, ollama.AsyncClient])
def test_a_path_that_is_not_served(provider, kind, ask):
    async def run():
        await ask(client)

    client = kind(host=provider)
    with pytest.raises(ollama.ResponseError) as refused:
        asyncio.run(run()) if kind is ollama.AsyncClient else ask(client)
    assert refused.value.status_code == 404
    # What its user gets to read says what there is instead.
    assert "Not found; there are /health, /busy, /v1/chat/completions and /v1/completions" in str(refused.value)

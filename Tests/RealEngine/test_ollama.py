"""The official Ollama client speaks a path of its own, which a provider does not serve, and is told so."""

import ollama
import pytest


def test_a_path_that_is_not_served(provider):
    with pytest.raises(ollama.ResponseError) as refused:
        ollama.Client(host=provider).chat(model="tiny", messages=[{"role": "user", "content": "a"}])
    assert refused.value.status_code == 404
    assert refused.value.error["message"] == "Not found"

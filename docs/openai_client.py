"""Asks a provider for a completion with OpenAI's official client, and prints the tokens as they come.

Usage: openai_client.py URL MODEL HMAC PROMPT

URL is the provider's public URL, without /v1.
Exit status: 0 the response is complete, 1 it is refused or cut, 75 the provider cannot take the request now.
"""

import sys

import openai


class Cut(Exception):
    """The stream ended before the response was complete."""


def complete(url, model, hmac, prompt, show):
    """Calls `show` with each piece of the response."""
    client = openai.OpenAI(
        base_url=url + "/v1",
        # The official client demands a key. The provider does not look at it.
        api_key="unused",
        # A client for several requests sets `extra_headers` of each request instead: an HMAC is valid for one request.
        default_headers={"X-Inferoute-HMAC": hmac},
        # Another provider is asked at once, rather than this provider a second time.
        max_retries=0,
    )
    # Raises an error for a status other than 200.
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], stream=True)
    finish_reason = None
    try:
        # Raises openai.APIError when the stream has an error event.
        for chunk in stream:
            for choice in chunk.choices:
                show(choice.delta.content or "")
                finish_reason = choice.finish_reason or finish_reason
    except openai.APIError as error:
        raise Cut(getattr(error, "code", None) or error.message) from error
    # With `ollama.forward: nginx`, a stream that the engine gives up has no error event.
    if finish_reason is None:
        raise Cut("no finish_reason")


def main():
    try:
        complete(*sys.argv[1:], show=lambda text: print(text, end="", flush=True))
    except openai.InternalServerError as error:
        # No token has been sent. The code says why: gpu_busy, too_many_requests_in_flight, ...
        if error.status_code == 503:
            print(f"try another provider: {error.code}", file=sys.stderr)
            return 75
        print(f"failed: {error.status_code} {error.code}", file=sys.stderr)
    except openai.APIStatusError as error:
        # 401 invalid_hmac, 404 of the engine for an unknown model, 429 rate_limited, ...
        print(f"refused: {error.status_code} {error.code}", file=sys.stderr)
    except openai.APIConnectionError as error:
        print(f"no response: {error.message}", file=sys.stderr)
    except Cut as error:
        print(f"\ncut: {error}", file=sys.stderr)
    else:
        print()
        return 0
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main())

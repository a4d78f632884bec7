"""Tools: offers, calls in one piece and as the deltas of a stream, and the results of calls."""

import json

import pytest

import make_model
from asking import MESSAGES, SAME, call, plain

TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Tells the weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin"]}}, "required": ["city"]}}}]

# Random weights call a tool only when forced. `required` gives them a grammar for the call, but lets them babble before it.
# These make them begin it, end it, and stop, without a line break between.
IDS = {text: number for number, (text, _, _) in enumerate(make_model.vocabulary())}
BEGIN, END, STOP, NEWLINE = (str(IDS[text]) for text in ("<tool_call>", "</tool_call>", "</s>", "<0x0A>"))
ONE_CALL = {BEGIN: 90, END: 50, STOP: 100, NEWLINE: -100}
TWO_CALLS = {BEGIN: 90, END: 50, STOP: 50, NEWLINE: -100}


def responses(client, is_stream=False, **more):
    options = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    response = call(client, "chat.completions", model="tiny", **options, **more, **SAME)
    return response if is_stream else [response]


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_the_engine_is_told(client, direct, is_stream):
    """The tools on offer, a call and its result are all in the prompt."""
    called = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Berlin"}'}}
    messages = MESSAGES + [
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call-1", "content": "rain"}]
    ask = dict(messages=messages, max_tokens=20, is_stream=is_stream)
    through = [plain(part) for part in responses(client, tools=TOOLS, tool_choice="auto", **ask)]
    assert through == [plain(part) for part in responses(direct, tools=TOOLS, tool_choice="auto", **ask)]
    without = responses(client, **ask)[-1].usage.prompt_tokens
    assert through[-1]["usage"]["prompt_tokens"] > without + 40


CALLED = dict(messages=MESSAGES, tools=TOOLS, tool_choice="required", max_tokens=100)


def test_a_call(client, direct):
    ask = dict(CALLED, logit_bias=ONE_CALL, parallel_tool_calls=False)
    through, = responses(client, **ask)
    choice, = through.choices
    assert choice.finish_reason == "tool_calls"
    made, = choice.message.tool_calls
    assert (made.type, made.function.name) == ("function", "weather")
    assert made.id and json.loads(made.function.arguments) == {"city": "Berlin"}
    assert [plain(through)] == [plain(part) for part in responses(direct, **ask)]


@pytest.mark.parametrize("bias, reason", [(ONE_CALL, "tool_calls"), (TWO_CALLS, "length")], ids=["one", "two"])
def test_a_call_in_a_stream(client, direct, bias, reason):
    """A name, then its arguments in pieces; a second call has a separate index."""
    ask = dict(CALLED, is_stream=True, logit_bias=bias, parallel_tool_calls=reason == "length")
    through, straight = responses(client, **ask), responses(direct, **ask)
    assert [plain(chunk) for chunk in through] == [plain(chunk) for chunk in straight]
    deltas = [part for chunk in through for choice in chunk.choices for part in choice.delta.tool_calls or []]
    first = [delta.function for delta in deltas if delta.index == 0]
    assert first[0].name == "weather" and deltas[0].id
    assert len(first) > 10
    assert json.loads("".join(part.arguments for part in first)) == {"city": "Berlin"}
    assert {delta.index for delta in deltas} == ({0} if reason == "tool_calls" else {0, 1})
    assert [choice.finish_reason for chunk in through for choice in chunk.choices][-1] == reason


def test_structured_output(client, direct):
    """Grammar makes even random weights say what was asked for."""
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": TOOLS[0]["function"]["parameters"]}}
    ask = dict(messages=MESSAGES, max_tokens=100, response_format=form)
    through, = responses(client, **ask)
    assert json.loads(through.choices[0].message.content) == {"city": "Berlin"}
    assert [plain(through)] == [plain(part) for part in responses(direct, **ask)]

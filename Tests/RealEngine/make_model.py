"""Writes a tiny llama model with random weights: real enough for llama.cpp, too small to say anything.

Usage: make_model.py FILE
"""

import sys

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 128, 4096

# Tools, and calls of them that were made, get into the prompt.
TEMPLATE = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"
    "{% for message in messages %}<|{{ message['role'] }}|>{% if message['content'] %}{{ message['content'] }}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}<tool_call>"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</tool_call>{% endfor %}'
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def vocabulary():
    """SentencePiece style: three control tokens, all bytes, then short words so that responses are readable text."""
    tokens = [("<unk>", 0.0, gguf.TokenType.UNKNOWN), ("<s>", 0.0, gguf.TokenType.CONTROL),
              ("</s>", 0.0, gguf.TokenType.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, gguf.TokenType.BYTE) for byte in range(256)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["\u2581" + a + b for a in letters for b in "aeiou"] + list(letters) + ["\u2581"]
    tokens += [(word, -float(rank), gguf.TokenType.NORMAL) for rank, word in enumerate(words)]
    # One token each, so that a test can have the model say them (`logit_bias`).
    return tokens + [(word, 0.0, gguf.TokenType.USER_DEFINED) for word in ("<tool_call>", "</tool_call>")]


def write(path):
    random = np.random.default_rng(1)

    def weights(*shape):
        return (random.standard_normal(shape) * 0.2).astype(np.float32)

    tokens = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", weights(len(tokens), WIDTH))
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        writer.add_tensor(name + "attn_norm.weight", np.ones(WIDTH, dtype=np.float32))
        for matrix in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{name}{matrix}.weight", weights(WIDTH, WIDTH))
        writer.add_tensor(name + "ffn_norm.weight", np.ones(WIDTH, dtype=np.float32))
        writer.add_tensor(name + "ffn_gate.weight", weights(FEED_FORWARD, WIDTH))
        writer.add_tensor(name + "ffn_up.weight", weights(FEED_FORWARD, WIDTH))
        writer.add_tensor(name + "ffn_down.weight", weights(WIDTH, FEED_FORWARD))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.add_tensor("output.weight", weights(len(tokens), WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])

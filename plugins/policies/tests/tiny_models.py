"""Tiny random models and tokenizers for the tests: made on the spot, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = {
    CHATML: ["<|im_start|>", "<|im_end|>"],
    OWN: ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
}
WORDS = (
    "You are in the middle of a room. Looking quickly around you, you see a desk 1, a shelf 2. "
    "Your task is to: put some mug in drawer. go to desk 1 open drawer 1 take mug 1 from desk 1 "
    "<think>look for the mug</think><action>go to shelf 2</action> Nothing happens. You arrive at "
)


def tokenizer(template: str = CHATML, size: int = 300):
    """A byte-level BPE with the special tokens of a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = SPECIAL[template]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([WORDS] * 4, trainer)
    end = special[-1]
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=end, pad_token=end)
    made.add_special_tokens({"additional_special_tokens": special})
    made.chat_template = template
    return made


def model(tok, *, seed: int = 0, **changes):
    """A random Qwen2 for causal language modelling."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(tok),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,  # far from uniform, so that sampling and errors show
        "eos_token_id": tok.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": tok.pad_token_id,
    }
    return Qwen2ForCausalLM(Qwen2Config(**{**shape, **changes})).eval()


def directory(path: Path, template: str = CHATML, *, seed: int = 0, **changes) -> Path:
    """Write a random model and its tokenizer as a checkpoint directory."""
    tok = tokenizer(template)
    model(tok, seed=seed, **changes).save_pretrained(path)
    tok.save_pretrained(path)
    return path

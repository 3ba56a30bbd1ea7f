"""A byte-level tokenizer learnt from a world's own text: small, and able to encode any other text byte by byte."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from worlds.tasks import Sample, World


def learn_tokenizer(world: World, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Learn a vocabulary from plain texts (no special tokens in them) and add the world's chat template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=world.vocabulary,
        special_tokens=list(world.tokens.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    if world.begin_always:
        begin = world.tokens["bos_token"]
        core.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, core.token_to_id(begin))]
        )
    named = {name: token for name, token in world.tokens.items() if name.endswith("_token")}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, model_max_length=1024, clean_up_tokenization_spaces=False, padding_side="left", **named
    )
    tokenizer.chat_template = world.chat_template
    return tokenizer


def words_of(sample: Sample) -> str:
    """The text of a sample without any markup, for learning the vocabulary."""
    return sample if isinstance(sample, str) else "\n".join(message["content"] for message in sample)


def render(sample: Sample, tokenizer: PreTrainedTokenizerFast) -> str:
    """A sample with its special tokens: chats exactly as the chat template writes them, texts between begin and end."""
    if isinstance(sample, str):
        return f"{tokenizer.bos_token}{sample}{tokenizer.eos_token}"
    return str(tokenizer.apply_chat_template(sample, tokenize=False))

"""Whether labels agree with what a model of pictures and words would call things; for encoders with a text tower."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float16, Float64, Int8, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.features.comparable import Comparable
from gpu_quality.features.tracks import masked, undefined
from gpu_quality.registry import feature, metric
from gpu_quality.types import Answers, Masked, Words

PROMPT = "a photo of a {class}"
BLOCK = 4096
"""Vectors handled at once."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The classes of a data set in words, and what they are worth as vectors; a text is encoded once."""

    words: Words
    classes: tuple[str, ...]
    _known: dict[str, Float64[Tensor, "t d"]] = field(default_factory=dict)

    def vectors(self, prompt: str) -> Float64[Tensor, "t d"]:
        """A unit vector per class: the mean direction of its prompts, which are separated by "|".

        Raises
        ------
        UsageError
            A prompt has no place for the class.
        """
        if prompt not in self._known:
            prompts = [part.strip() for part in prompt.split("|")]
            if not all("{class}" in part for part in prompts):
                raise UsageError(f"the prompt {prompt!r} names no class", hint=f"write {{class}} in it, as in {PROMPT!r}")
            mean: Tensor = torch.zeros((), dtype=torch.float64)
            for part in prompts:
                texts = self.words.encode_text([part.replace("{class}", name) for name in self.classes])
                mean = mean + torch.nn.functional.normalize(texts.double(), dim=1)
            self._known[prompt] = torch.nn.functional.normalize(mean, dim=1)
        return self._known[prompt]


@feature(over="dataset")
def vocabulary(words: Words, classes: tuple[str, ...]) -> Vocabulary:
    """The classes of the data set in words."""
    return Vocabulary(words, classes)


@metric(per="object", over="dataset", unit="probability", bounds=(0.0, 1.0), bad="low")
def zero_shot_agreement(
    comparable_objects: Comparable, vocabulary: Vocabulary, *, prompt: str = PROMPT
) -> Float64[Tensor, " o"] | Masked:
    r"""How probable the class of an object is to a model that was never shown these labels.

    .. math:: p_{c_i}, \qquad p = \operatorname{softmax}(s \cos(x_i, t)), \quad t_c = \text{the direction of the prompts of } c
    s is the scale of the model (100 for CLIP). All classes of the data set take part. Several prompts are separated by "|".
    Range: 0 to 1. Null where there is one class only, and without a crop.
    Depends on: the encoder and the names of the classes; a name with two meanings misleads it.
    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
    """
    value, _, null = _called(comparable_objects, vocabulary, prompt)
    return masked(value, null)


@metric(per="object", over="dataset", unit="category")
def zero_shot_class(
    comparable_objects: Comparable, vocabulary: Vocabulary, *, prompt: str = PROMPT
) -> Int64[Tensor, " o"] | Masked:
    r"""What a model that was never shown these labels would call an object.

    .. math:: \arg\max_c \cos(x_i, t_c), \qquad t_c = \text{the direction of the prompts of } c
    Range: the row of a class. Null where there is one class only, and without a crop.
    Depends on: the encoder and the names of the classes.
    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
    """
    _, best, null = _called(comparable_objects, vocabulary, prompt)
    return masked(best, null)


@metric(per="classification", over="dataset", unit="probability", bounds=(0.0, 1.0), bad="low")
def image_zero_shot_agreement(
    comparable_answers: Comparable, answers: Answers, vocabulary: Vocabulary, *, prompt: str = PROMPT
) -> Float64[Tensor, " c"] | Masked:
    r"""How probable the answer about a frame is to a model that was never shown these answers.

    .. math:: p_{a_i}, \qquad p = \operatorname{softmax}(s \cos(x_i, t)), \quad t_a = \text{the direction of the prompts of } a
    As zero_shot_agreement, among the answers that somebody gave to the question.
    Range: 0 to 1. Null where all answers are equal, and as for image_annotation_quality.
    Depends on: the encoder and the wording of the answers.
    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
    """
    items, whole = comparable_answers, answers.object < 0
    value = torch.zeros(len(items), dtype=torch.float64)
    null = items.null
    for rows in items.parts:
        options = torch.unique(answers.class_id[whole & (answers.question == answers.question[rows[0]])])
        label = torch.searchsorted(options, items.class_id[rows])
        if len(options) > 1:
            texts = vocabulary.vectors(prompt)[options]
            value[rows], _ = _probabilities(items.of(rows), texts, vocabulary.words.logit_scale, label)
        else:
            alone = torch.zeros_like(whole)
            alone[rows] = True
            null = undefined(null, (alone, "too_few_samples"))
    return masked(value, null)


def _called(
    items: Comparable, vocabulary: Vocabulary, prompt: str
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"], Int8[Tensor, " o"]]:
    """How probable the class is, the most probable one, and why neither is known."""
    lone = len(vocabulary.classes) < 2
    null = undefined(items.null, (torch.full((len(items),), lone), "too_few_samples"))
    if lone:
        return torch.zeros(len(items), dtype=torch.float64), torch.zeros(len(items), dtype=torch.int64), null
    texts = vocabulary.vectors(prompt)
    everything = torch.arange(len(items))
    return *_probabilities(items.of(everything), texts, vocabulary.words.logit_scale, items.class_id), null


def _probabilities(
    x: Float16[Tensor, "n d"], texts: Float64[Tensor, "t d"], scale: float, label: Int64[Tensor, " n"]
) -> tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Probability of the text that each vector is labeled with, and the most probable text, the first of equal ones."""
    value, best = torch.empty(len(x), dtype=torch.float64), torch.empty(len(x), dtype=torch.int64)
    for rows in torch.split(torch.arange(len(x)), BLOCK):
        cosine = torch.nn.functional.normalize(x[rows].double(), dim=1) @ texts.T
        value[rows] = (scale * cosine).softmax(1).gather(1, label[rows, None])[:, 0]
        best[rows] = cosine.argmax(1)
    return value, best

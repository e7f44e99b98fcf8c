"""Examples at the end of each command's help, and the words that all commands share."""

from __future__ import annotations

import click

OWN_NET = "mynet:MyNet --input-size 3x64x64"

EXAMPLES = {
    "check": ("check", "check googlenet --update", "check --format github"),
    "compare": (
        "compare googlenet inception_v3",
        f"compare googlenet {OWN_NET}",
        "compare before.json after.json",
        "compare googlenet googlenet_v2 -o page.html",
    ),
    "confirm": ("confirm", "confirm --source 1409.4842 --format markdown", "confirm --model googlenet"),
    "crosscheck": ("crosscheck googlenet_bn --mode train", f"crosscheck {OWN_NET}"),
    "gradient-flow": (
        'gradient-flow "googlenet(aux_logits=true)"',
        f"gradient-flow {OWN_NET} --plot flow.svg",
        "gradient-flow googlenet googlenet_bn --figure output_gradient",
        "gradient-flow googlenet_cifar10 --steps 50 --data my-images",
    ),
    "memory": (
        "memory googlenet --mode train --optimizer adamw --by module",
        "memory googlenet --batch-size 128 --fits 8GiB",
        f"memory {OWN_NET} --measure",
    ),
    "models": ("models", "models --family googlenet --format json"),
    "profile": (
        "profile googlenet -o profile-googlenet",
        f"profile {OWN_NET} -o profile-mynet",
        "profile --read trace.json.gz",
    ),
    "receptive-field": (
        "receptive-field googlenet",
        f"receptive-field {OWN_NET}",
        "receptive-field nin --effective --plot field.svg",
    ),
    "report": (
        "report googlenet googlenet_naive -o my-reports",
        f"report {OWN_NET} --measure",
        "report googlenet --against before.json",
        'report "nin(num_classes=10)" "nin(num_classes=100)" -o nins',
    ),
    "summary": (
        "summary googlenet --depth 1",
        f"summary {OWN_NET}",
        "summary googlenet --mode train --batch-size 32 --format json",
    ),
    "sweep": (
        "sweep space.toml",
        "sweep space.toml --sample 2000 --plot front.svg",
        "sweep space.toml --engine dask --address tcp://host:8786",
    ),
    "time": (
        "time googlenet --depth 1",
        f"time {OWN_NET} --mode train",
        "time googlenet inception_v3 --batch-size 8",
    ),
    "worksheet": (
        "worksheet googlenet inception3a",
        "worksheet mynet:MyNet block1 --input-size 3x64x64",
        "worksheet --input 28x28x192 --branches 64,96,128,16,32,32",
    ),
}
"""By command, without the name of the program in front."""

_SIZES = (
    "CxHxW is the size of one input: channels x height x width, without the batch. The model's is the "
    "one that `inception-lab models` lists for an entry of the zoo, where its options say no other."
)


def end_of_help(name: str, command: click.Command) -> str:
    """Return what stands below the options of a command.

    Args:
        name: Of the command.
        command: The command itself, whose options decide what has to be said.
    """
    lines = "\n".join(f"  inception-lab {example}" for example in EXAMPLES[name])
    has_sizes = any(parameter.name == "input_sizes" for parameter in command.params)
    # the mark keeps click from joining the lines of a paragraph
    return (f"{_SIZES}\n\n" if has_sizes else "") + f"\b\nExamples:\n{lines}"

"""The verbs of `metric`: what can be measured, and what each number means."""

from typing import Annotated

import typer

from gpu_quality.cli.common import JsonFlag, Plugins, print_json, stdout


def list_(json: JsonFlag = False, plugin: Plugins = None) -> None:
    """Every metric with its unit, range and first line.

    Example: gpu-quality metric list
    """
    from gpu_quality.api import load_plugins
    from gpu_quality.cli import metrics

    load_plugins(plugin or ())
    if json:
        print_json(metrics.metric_list_json())
    else:
        metrics.metric_list(stdout())


def show(name: Annotated[str, typer.Argument(help="A metric's name.")], json: JsonFlag = False, plugin: Plugins = None) -> None:
    """Meaning, formula, unit, range, bad direction, options and source of one metric.

    Example: gpu-quality metric show sharpness
    """
    from gpu_quality.api import load_plugins
    from gpu_quality.cli import metrics

    load_plugins(plugin or ())
    if json:
        print_json(metrics.metric_show_json(name))
    else:
        metrics.metric_show(name, stdout())

"""What every built-in metric declares: docstrings in the house form, honest bounds, known needs."""

import importlib

import pytest

from gpu_quality import plan, registry
from tests.metrics.mini import measure
from tests.metrics.test_pixel_metrics import CHECKERS, FIXED_IMAGES, IMAGES, OBJECTS

registry.load_built_in()
for module in ("values", "flags", "duplicates"):
    importlib.import_module(f"gpu_quality.metrics.{module}")
METRICS = {name: node for name, node in registry.metrics().items() if node.module.startswith("gpu_quality.metrics.")}
REGIONS = [name for name, node in METRICS.items() if node.per == "region"]
KNOWN = registry.ROOTS | registry.RESOURCES | plan.TABLE_ROOTS


@pytest.mark.parametrize("name", METRICS)
def test_docstring_has_the_house_form(name: str) -> None:
    node = METRICS[name]
    lines = node.doc.splitlines()
    assert node.summary[0].isupper()
    assert node.summary.rstrip()[-1] in ".,:" or "." in lines[1], node.summary
    assert lines[1] == ""
    assert lines[2].startswith(".. math:: ")
    for part in ("Range: ", "Depends on: "):
        assert sum(line.startswith(part) for line in lines) == 1, part
    assert max(map(len, lines)) <= 124
    assert node.unit


@pytest.mark.parametrize("name", METRICS)
def test_needs_can_be_met(name: str) -> None:
    for need in METRICS[name].needs:
        assert need in KNOWN or registry.find_need(need, name)


def test_values_stay_inside_the_declared_bounds() -> None:
    images = [*IMAGES, *FIXED_IMAGES, 255 - CHECKERS]
    frames = [name for name, node in METRICS.items() if node.per == "frame" and "objects" not in node.needs]
    frames = [name for name in frames if METRICS[name].module.rpartition(".")[2] not in ("similarity", "maps")]  # of vectors
    names = [name for name in REGIONS + frames if METRICS[name].bounds and not name.startswith("object_")]
    for name, values in measure(images, names, OBJECTS).items():
        low, high = METRICS[name].bounds
        assert all(value is None or low <= value <= high for value in values), (name, values)


def test_every_metric_of_the_reference_is_there() -> None:
    facts = "width height area aspect_ratio channels bit_depth transparent_fraction file_size frame_number random object_random"
    color = "brightness contrast red green blue saturation colorfulness color_fraction mean_red mean_green mean_blue"
    color += " dominant_red dominant_green dominant_blue luma_mean luma_std luma_min luma_max luma_p01 luma_p05 luma_p25"
    color += " luma_p50 luma_p75 luma_p95 luma_p99 value_min value_p25 value_p50 value_p75 value_max quartile_contrast"
    color += " skewness kurtosis zeros_fraction unique_values entropy entropy_rgb underexposed_fraction overexposed_fraction"
    sharp = "sharpness sharpness_luma blur tenengrad edge_density noise blockiness uneven_illumination"
    issues = [name[3:-6] for name in METRICS if name.startswith("is_")]
    assert len(issues) == 9
    hashes = "content_hash phash dhash phash_d4 dhash_d4 phash_distance exact_duplicate_group near_duplicate_group frozen"
    objects = "object_count object_density object_area object_area_relative object_width object_height object_aspect_ratio"
    objects += " object_offset_x object_offset_y object_center_x object_center_y center_distance edge_distance"
    objects += " border_closeness annotation_duplicate annotation_duplicate_of annotation_duplicate_any_class"
    tracks = "shape_outlier annotation_time polygon_shape_similarity polygon_shape_similarity_raw track_consistency"
    tracks += " inconsistency track_continuity missing_in occlusion_risk"
    meaning = "singularity uniqueness representativeness diversity_rank object_annotation_quality image_annotation_quality"
    meaning += " neighbor_entropy label_error_ratio zero_shot_agreement embedding_duplicate_group leak_distance"
    ours = "novelty near_duplicate_group_embedding map_x map_y umap_x umap_y object_majority_class object_annotation_verdict"
    ours += " image_majority_class image_neighbor_entropy image_label_error_ratio object_singularity object_class_outlier"
    ours += " appearance_duplicate zero_shot_class image_zero_shot_agreement near_duplicate_group_d4 track_jitter"
    names = f"{facts} {color} {sharp} {hashes} {objects} {tracks} {meaning}".split()
    names += [f"{name}_score" for name in issues] + [f"is_{name}_issue" for name in issues]
    assert set(names) <= set(METRICS)
    assert set(METRICS) - set(names) == set(ours.split())
    in_regions = set(color.split()) | set(sharp.split()) - {"blockiness", "uneven_illumination"}
    in_regions |= {f"{name}_score" for name in ("dark", "light", "low_information", "blurry")}
    assert set(REGIONS) == in_regions

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import UsageError
from ics_bench.kernels.spec import (
    GROUP_NORMS,
    KERNEL_NORMS,
    OPTIONS,
    Problem,
    floor_bytes,
    kept_floor_bytes,
    parse_shape,
    roof_bytes,
    view,
)

ROWS, MAPS = (4, 8), (2, 8, 3, 3)

# S = 32 elements for the rows, 144 for the maps; 8 features; float32 parameters.
BY_HAND = [
    (Problem("layer", "forward", ROWS), 2 * 128 + 2 * 32 + 8 * 4),
    (Problem("layer", "backward", ROWS), 3 * 128 + 32 + 8 * 4 + 2 * 32),
    (Problem("rms", "forward", ROWS, "bfloat16"), 2 * 64 + 32 + 4 * 4),
    (Problem("rms", "backward", ROWS, "bfloat16"), 3 * 64 + 32 + 4 * 4 + 32),
    (Problem("group", "forward", MAPS, groups=2), 2 * 576 + 2 * 32 + 8 * 4),
    (Problem("group", "backward", MAPS, groups=2), 3 * 576 + 32 + 8 * 4 + 2 * 32),
    (Problem("instance", "forward", MAPS), 2 * 576 + 2 * 32 + 8 * 16),
    (Problem("instance", "backward", MAPS), 3 * 576 + 32 + 8 * 16 + 2 * 32),
    (Problem("batch", "forward", MAPS), 2 * 576 + 2 * 32 + 24 * 8),
    (Problem("batch", "backward", MAPS), 3 * 576 + 32 + 8 * 8 + 2 * 32),
    (Problem("batch", "forward", MAPS, training=False), 2 * 576 + 2 * 32 + 8 * 8),
    (Problem("batch", "backward", MAPS, training=False), 2 * 576 + 32 + 8 * 8),
    (Problem("layer", "forward", ROWS, residual=True), 4 * 128 + 2 * 32 + 8 * 4),
    (Problem("layer", "backward", ROWS, residual=True), 4 * 128 + 32 + 8 * 4 + 2 * 32),
    (Problem("rms", "forward", ROWS, "bfloat16", residual=True), 4 * 64 + 32 + 4 * 4),
    (Problem("rms", "backward", ROWS, "bfloat16", residual=True), 4 * 64 + 32 + 4 * 4 + 32),
    (Problem("mine:Norm", "forward", MAPS), 2 * 576),
    (Problem("mine:Norm", "backward", MAPS, "float16"), 3 * 288),
]


@pytest.mark.parametrize(("problem", "expected"), BY_HAND)
def test_floors_agree_with_a_count_by_hand(problem: Problem, expected: int) -> None:
    assert floor_bytes(problem) == expected


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem("layer", "forward", ROWS, "bfloat16"), 64 + 8 * 4),
        (Problem("rms", "backward", ROWS), 128 + 4 * 4),
        (Problem("rms", "forward", ROWS, residual=True), 128 + 4 * 4),  # s instead of x
        (Problem("group", "forward", MAPS, groups=2), 576 + 8 * 4),
        (Problem("batch", "forward", MAPS), 576 + 8 * 8),
        (Problem("batch", "forward", MAPS, training=False), 0),
        (Problem("mine:Norm", "forward", MAPS), 576),
    ],
)
def test_the_fewest_bytes_to_keep_agree_with_a_count_by_hand(problem: Problem, expected: int) -> None:
    assert kept_floor_bytes(problem) == expected


def test_a_reduction_set_that_does_not_fit_is_read_twice() -> None:
    forward, backward = (Problem("batch", direction, (4, 2, 8, 8)) for direction in ("forward", "backward"))
    channel = 4 * 64 * 4  # bytes of x in one channel
    assert roof_bytes(forward, channel) == floor_bytes(forward)
    assert roof_bytes(forward, channel - 1) == floor_bytes(forward) + 2 * channel
    assert roof_bytes(backward, 2 * channel) == floor_bytes(backward)
    assert roof_bytes(backward, channel) == floor_bytes(backward) + 4 * channel


def test_running_statistics_and_rows_never_need_a_second_reading() -> None:
    for problem in (Problem("batch", "forward", MAPS, training=False), Problem("layer", "backward", ROWS)):
        assert roof_bytes(problem, 0) == floor_bytes(problem)


@given(st.sampled_from(KERNEL_NORMS), st.tuples(*[st.integers(1, 6)] * 4), st.booleans())
def test_a_view_holds_every_element_and_a_parameter_for_each_feature(
    norm: str, sizes: tuple[int, ...], training: bool
) -> None:
    batch, groups, members, positions = sizes
    features = groups * members
    shape = (batch, features) if norm in ("layer", "rms") else (batch, features, positions)
    problem = Problem(norm, "forward", shape, training=training, groups=groups)
    seen = view(problem)
    size = 1
    for axis in seen.shape:
        size *= axis
    assert size == problem.elements
    kept = [n for axis, n in enumerate(seen.shape) if axis not in seen.reduced]
    sets = 1
    for n in kept:
        sets *= n
    assert sets == problem.reduction_sets
    parameters = [n for axis, n in enumerate(seen.shape) if axis not in seen.summed]
    assert sorted(parameters) == sorted(n for axis, n in enumerate(seen.parameters) if axis not in seen.summed)
    count = 1
    for n in parameters:
        count *= n
    assert count == features


@given(st.lists(st.integers(1, 9999), min_size=2, max_size=5))
def test_shapes_are_read_as_they_are_written(sizes: list[int]) -> None:
    assert parse_shape("x".join(map(str, sizes))) == tuple(sizes)


@pytest.mark.parametrize("text", ["", "12", "4x", "x4", "4x0", "4x-1", "4 x 4", "4×4", "4x4.0", "axb", "4x²"])
def test_a_shape_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="shape"):
        parse_shape(text)


@pytest.mark.parametrize(
    "arguments",
    [("layer", "forward", (8,)), ("rms", "forward", (2, 3, 4)), ("group", "forward", (2, 9, 4), "float32", True, 2)],
)
def test_a_problem_that_makes_no_sense_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"shape|divide"):
        Problem(*arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "foward"}, "direction 'foward': take one of forward, backward"),
        ({"eps": None}, "eps=None: take a number from 0 up, such as 1e-05"),
        ({"eps": -1e-5}, "eps=-1e-05: take a number"),
        ({"eps": math.nan}, "eps=nan: take a number"),
        ({"momentum": None}, "momentum=None: take a number from 0 up, such as 0.1"),
        ({"groups": None}, "None groups: take 1 or more"),
        ({"groups": 2.0}, "2.0 groups: take 1 or more"),
        ({"dtype": "float64"}, "dtype 'float64': take one of float32, bfloat16, float16"),
        ({"layout": "nhwc"}, "layout 'nhwc': take one of contiguous, channels_last"),
        ({"shape": (8, -4)}, "shape (8, -4): take whole numbers from 0 up"),
        ({"shape": (8, 4.0)}, "shape (8, 4.0): take whole numbers from 0 up"),
    ],
)
def test_numbers_and_names_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Problem(**{"norm": "batch", "direction": "forward", "shape": (8, 4), **changes})


@pytest.mark.parametrize("norm", [*GROUP_NORMS, "batch", "mine:Norm"])
def test_only_the_norms_of_rows_have_options(norm: str) -> None:
    for option in OPTIONS:
        with pytest.raises(ValueError, match=f"'{norm}' has no {option}: take one of layer, rms, or leave it out"):
            Problem(norm, "forward", MAPS, **{option: True})
        assert Problem("rms", "forward", ROWS, **{option: True}).options == (option,)
    assert Problem(norm, "forward", MAPS).options == ()


def test_a_scale_of_one_more_takes_as_many_bytes() -> None:
    for direction in ("forward", "backward"):
        plain = Problem("layer", direction, ROWS)
        zero_centered = replace(plain, zero_centered=True)
        assert floor_bytes(zero_centered) == floor_bytes(plain)
        assert zero_centered.outputs == plain.outputs
        assert (plain.weight_offset, zero_centered.weight_offset) == (0.0, 1.0)


def test_rows_have_no_channels_last() -> None:
    with pytest.raises(ValueError, match="4 or 5 dimensions"):
        Problem("batch", "forward", (4, 8), layout="channels_last")


def test_a_residual_stream_is_returned_beside_the_result_and_has_one_gradient() -> None:
    assert Problem("layer", "forward", ROWS, residual=True).outputs == ("y", "s")
    assert Problem("rms", "backward", ROWS, residual=True).outputs == ("dx", "dweight")


@pytest.mark.parametrize("norm", GROUP_NORMS)
def test_group_norms_say_what_they_return(norm: str) -> None:
    assert Problem(norm, "forward", MAPS).outputs == ("y",)
    assert Problem(norm, "backward", MAPS).outputs == ("dx", "dweight", "dbias")


@pytest.mark.parametrize("groups", [0, -2])
def test_a_number_of_groups_below_one_is_refused_with_the_remedy(groups: int) -> None:
    with pytest.raises(ValueError, match=f"{groups} groups: take 1 or more"):
        Problem("group", "forward", MAPS, groups=groups)


def test_parameters_in_the_dtype_of_x_move_fewer_bytes_and_no_third_dtype_is_taken() -> None:
    for direction, parameters in (("forward", 2), ("backward", 3)):
        wide = Problem("layer", direction, (16, 200), "bfloat16")
        narrow = replace(wide, parameter_dtype="bfloat16")
        assert floor_bytes(wide) - floor_bytes(narrow) == parameters * 2 * 200
    with pytest.raises(ValueError, match="'float16' beside x in bfloat16: take 'float32' or 'bfloat16'"):
        replace(wide, parameter_dtype="float16")

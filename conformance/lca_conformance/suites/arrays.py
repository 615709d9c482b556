"""The few functions on arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import drawn
from lca_conformance.suites.suite import Suite

if TYPE_CHECKING:
    from lca_core.adapters import Adapter

SHAPES = [(), (0,), (1,), (5,), (2, 0), (3, 4), (2, 3, 4)]


class Arrays(Suite):
    """Arrays come and go unharmed, and sums are those of float64."""

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_arrays_survive_the_way_to_the_device_and_back(
        self, adapter: Adapter, shape: tuple[int, ...]
    ) -> None:
        """`to_numpy(array(values))` is `values`, in shape, type and every bit."""
        values = drawn(1, shape)
        back = adapter.ops.to_numpy(adapter.array(values))

        assert back.dtype == np.float32
        np.testing.assert_array_equal(back, values)
        assert back.shape == shape

    def test_operators_do_what_they_do_in_numpy(self, adapter: Adapter) -> None:
        """`+ - * < > abs` between arrays, and with a Python float, keep float32."""
        x, y = drawn(1, (4, 3)), drawn(2, (4, 3))
        a, b = adapter.array(x), adapter.array(y)
        pairs: list[tuple[Any, Any]] = [
            (a + b, x + y),
            (a - b, x - y),
            (a * b, x * y),
            (0.5 * a, np.float32(0.5) * x),
            (abs(a), np.abs(x)),
        ]
        for found, truth in pairs:
            host = adapter.ops.to_numpy(found)
            assert host.dtype == np.float32
            np.testing.assert_allclose(host, truth, rtol=1e-6)
        np.testing.assert_array_equal(adapter.ops.to_numpy(a < b), x < y)
        np.testing.assert_array_equal(adapter.ops.to_numpy(a > 0), x > 0)

    def test_sums_are_those_of_float64(self, adapter: Adapter) -> None:
        """Ten thousand float32 numbers that almost cancel are summed as exactly as in float64."""
        x = drawn(3, (20_000,), 0.0, 1e3)
        x[1::2] = -x[::2] + drawn(4, (10_000,), 0.0, 1e-2)
        truth = math.fsum(x.tolist())
        found = float(adapter.ops.to_numpy(adapter.ops.sum(adapter.array(x))))

        assert found == pytest.approx(truth, rel=1e-9)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_sums_keep_any_axis_or_none(self, adapter: Adapter, shape: tuple[int, ...]) -> None:
        """`sum(array, keep=k)` has shape (array.shape[k],), `sum(array)` has shape ()."""
        x = drawn(5, shape)
        for keep in (None, *range(len(shape))):
            axes = tuple(axis for axis in range(len(shape)) if axis != keep)
            found = adapter.ops.to_numpy(adapter.ops.sum(adapter.array(x), keep=keep))
            truth = x.sum(axis=axes, dtype=np.float64)
            assert found.shape == truth.shape
            np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12)

    def test_sums_of_booleans_count(self, adapter: Adapter) -> None:
        """The sum of a comparison is how often it is true."""
        x = drawn(6, (30, 7))
        positive = adapter.array(x) > 0

        assert int(adapter.ops.to_numpy(adapter.ops.sum(positive))) == (x > 0).sum()
        columns = adapter.ops.to_numpy(adapter.ops.sum(positive, keep=1))
        np.testing.assert_array_equal(columns, (x > 0).sum(0))

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_signs_are_of_the_arrays_own_type(
        self, adapter: Adapter, shape: tuple[int, ...]
    ) -> None:
        """`sign` is -1, 0 or 1, in the array's shape and element type."""
        x = np.asarray(np.round(drawn(11, shape)), np.float32)
        found = adapter.ops.sign(adapter.array(x))

        assert found.dtype == adapter.array(x).dtype
        np.testing.assert_array_equal(adapter.ops.to_numpy(found), np.sign(x))

    def test_what_is_not_a_number_has_no_sign(self, adapter: Adapter) -> None:
        """`sign` of NaN is 0: in running counts it would stay for the rest of the run."""
        x = np.array([-2.0, np.nan, 0.0, np.inf, -np.inf], np.float32)
        found = adapter.ops.to_numpy(adapter.ops.sign(adapter.array(x)))

        np.testing.assert_array_equal(found, [-1.0, 0.0, 0.0, 1.0, -1.0])

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_places_are_counted_in_c_order(self, adapter: Adapter, shape: tuple[int, ...]) -> None:
        """`take(array, places)` is `array.ravel()[places]`, in the array's element type."""
        x = drawn(12, shape)
        places = np.arange(x.size)[::-2].copy()
        found = adapter.ops.take(adapter.array(x), places)

        assert found.dtype == adapter.array(x).dtype
        np.testing.assert_array_equal(adapter.ops.to_numpy(found), x.ravel()[places])

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_histograms_count_leading_bits(self, adapter: Adapter, shape: tuple[int, ...]) -> None:
        """`histogram` counts signs, exponents and quarters of an octave, in the element type."""
        x = drawn(13, shape) ** 9
        found = adapter.ops.histogram(adapter.array(x))
        bits = x.ravel().view(np.uint32) >> 21

        assert found.dtype == adapter.array(x).dtype
        np.testing.assert_array_equal(
            adapter.ops.to_numpy(found), np.bincount(bits, minlength=2048)
        )

    def test_joined_sums_keep_their_digits(self, adapter: Adapter) -> None:
        """`concat` of numbers and vectors is one vector, as precise as its parts."""
        x = drawn(7, (1000, 3))
        parts = [adapter.ops.sum(adapter.array(x), keep=0), adapter.ops.sum(adapter.array(x))]
        found = adapter.ops.to_numpy(adapter.ops.concat(parts))
        truth = np.append(x.sum(1, dtype=np.float64), x.sum(dtype=np.float64))

        assert found.shape == (1001,)
        np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_host_arrays_take_the_type_they_are_asked_for(
        self, adapter: Adapter, shape: tuple[int, ...]
    ) -> None:
        """`from_numpy` of a float64 array is of the element type of `like`, and equal to it."""
        like, values = adapter.array(drawn(8, (2,))), drawn(9, shape).astype(np.float64)
        found = adapter.ops.from_numpy(values, like)

        assert found.dtype == like.dtype
        np.testing.assert_array_equal(adapter.ops.to_numpy(found), values)

    def test_what_is_on_the_host_stays_as_it_is(self, adapter: Adapter) -> None:
        """Neither `array` nor `from_numpy` looks at the host's memory later on."""
        values = drawn(10, (4,))
        kept = values.copy()
        native = adapter.array(values)
        second = adapter.ops.from_numpy(values, native)
        values[...] = 0.0

        np.testing.assert_array_equal(adapter.ops.to_numpy(native), kept)
        np.testing.assert_array_equal(adapter.ops.to_numpy(second), kept)

"""The loops that a look at many frames spends its time in, written in LLVM for 8 doubles at a time; see ``simd.py``.

Squares of distances here are right but for last digits: products are added as the processor likes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .simd import ANY, I32, I64, LANES, VECTOR, ZERO, Emitter, intrinsic_of

if TYPE_CHECKING:
    from collections.abc import Callable

_DOUBLE, _BYTE = ir.DoubleType(), ir.IntType(8)
_INFINITE = ir.Constant(VECTOR, [float("inf")] * LANES)
_NUMBERS = ir.VectorType(I64, LANES)


def _folded(m: Emitter, value: Any, join: Callable[[Any, Any], Any]) -> Any:
    """All lanes joined to one number."""
    for half in (4, 2, 1):
        value = join(value, m.shuffle(value, ANY, [(s + half) % LANES for s in range(LANES)]))
    return m.b.extract_element(value, ir.Constant(I32, 0))


def _foremost(m: Emitter, sign: str, lanes: Any, bound: Any, otherwise: float) -> Any:
    """The least (``sign`` <) or largest (>) lane if one is as far as the bound: folding takes long, and is rare."""
    found = cgutils.alloca_once_value(m.b, ir.Constant(_DOUBLE, otherwise))
    m.b.store(ir.Constant(_DOUBLE, otherwise), found)
    some = m.b.bitcast(m.b.fcmp_ordered(f"{sign}=", lanes, bound), _BYTE)
    with m.b.if_then(m.b.icmp_unsigned("!=", some, ir.Constant(_BYTE, 0)), likely=False):
        m.b.store(_folded(m, lanes, lambda x, y: m.b.select(m.b.fcmp_ordered(sign, x, y), x, y)), found)
    return m.b.load(found)


def _vectors(m: Emitter, count: Any) -> Any:
    """How many vectors so many numbers are."""
    return m.b.sdiv(m.b.add(count, ir.Constant(I64, LANES - 1)), ir.Constant(I64, LANES))


def _squares_around(
    m: Emitter, out: Any, x: Any, y: Any, z: Any, rank: Any, first: Any, count: Any, own: Any, bound: Any, p: Any
) -> Any:
    at, own_rank = [m.splat(own, k) for k in range(3)], m.splat(own, 3)
    least, left = m.register(), cgutils.alloca_once(m.b, I64)
    m.b.store(_INFINITE, least)
    m.b.store(count, left)
    nothing = ir.Constant(_NUMBERS, ir.Undefined)
    with m.loop(_vectors(m, count)) as loop:
        offset = m.b.mul(loop.index, ir.Constant(I64, LANES))
        square = ZERO
        for array, centre in zip((x, y, z), at, strict=True):
            way = m.b.fsub(m.load(array, first, offset), centre)
            square = m.add(square, m.b.fmul(way, way, flags=("contract",)))
        one = m.b.insert_element(nothing, m.b.load(left), ir.Constant(I32, 0))
        every = m.shuffle(one, nothing, [0] * LANES)
        there = m.b.icmp_signed("<", ir.Constant(_NUMBERS, list(range(LANES))), every)
        later = m.b.and_(there, m.b.fcmp_ordered(">", m.load(rank, first, offset), own_rank))
        square = m.b.select(later, square, _INFINITE)
        m.store(square, out, offset)
        before = m.b.load(least)
        m.b.store(m.b.select(m.b.fcmp_ordered("<", square, before), square, before), least)
        m.b.store(m.b.sub(m.b.load(left), ir.Constant(I64, LANES)), left)
    return _foremost(m, "<", m.b.load(least), m.splat(bound, p), float("inf"))


@intrinsic
def squares_around(typing, out, x, y, z, rank, first, count, own, bound, p):
    """out[t] = |(x, y, z)[first + t] − own|², t < ``count``, infinite but for ranks above ``own``[3].

    The value is the least of them; infinite where none is at most bound[p]. Up to 7 numbers behind those that are meant
    are read, and infinities written there.
    """
    return intrinsic_of(_squares_around, out, x, y, z, rank, first, count, own, bound, p, result=types.float64)


def _count_below(m: Emitter, squares: Any, count: Any, limits: Any, bound: Any, c: Any, number: Any) -> Any:
    limit, largest = m.splat(limits, c), m.register()
    ones = ir.Constant(VECTOR, [1.0] * LANES)
    place = m.at(number, m.b.mul(c, ir.Constant(I64, LANES)))
    below = m.register()
    m.b.store(m.load(place), below)
    with m.loop(_vectors(m, count)) as loop:
        square = m.load(squares, m.b.mul(loop.index, ir.Constant(I64, LANES)))
        is_below = m.b.fcmp_ordered("<", square, limit)
        m.b.store(m.b.fadd(m.b.load(below), m.b.select(is_below, ones, ZERO)), below)
        own, before = m.b.select(is_below, square, ZERO), m.b.load(largest)
        m.b.store(m.b.select(m.b.fcmp_ordered(">", own, before), own, before), largest)
    m.store(m.b.load(below), place)
    return _foremost(m, ">", m.b.load(largest), m.splat(bound, c), 0.0)


@intrinsic
def count_below(typing, squares, count, limits, bound, c, number):
    """number[8 c:8 c + 8] gain how many of ``count`` squares, and infinities behind, are below limits[c], by lanes.

    The value is the largest of these; 0 where none is at least bound[c].
    """
    return intrinsic_of(_count_below, squares, count, limits, bound, c, number, result=types.float64)


def _next_between(m: Emitter, squares: Any, begin: Any, count: Any, bounds: Any, k: Any) -> Any:
    low, high = m.splat(bounds, k), m.splat(bounds, k, 1)
    found = cgutils.alloca_once_value(m.b, count)
    m.b.store(count, found)
    with m.loop(_vectors(m, m.b.sub(count, begin))) as loop:
        place = m.b.add(begin, m.b.mul(loop.index, ir.Constant(I64, LANES)))
        square = m.load(squares, place)
        between = m.b.and_(m.b.fcmp_ordered(">=", square, low), m.b.fcmp_ordered("<", square, high))
        some = m.b.bitcast(between, _BYTE)
        with m.b.if_then(m.b.icmp_unsigned("!=", some, ir.Constant(_BYTE, 0))):
            lane = m.b.zext(m.b.cttz(some, ir.Constant(ir.IntType(1), 1)), I64)
            m.b.store(m.b.add(place, lane), found)
            loop.do_break()
    return m.b.load(found)


@intrinsic
def next_between(typing, squares, begin, count, bounds, k):
    """The first t from ``begin`` on with bounds[k] ≤ squares[t] < bounds[k + 1]; ``count`` or more: there is none."""
    return intrinsic_of(_next_between, squares, begin, count, bounds, k, result=types.int64)

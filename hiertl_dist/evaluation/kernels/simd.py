"""The few loops that the cluster kernels spend their time in, written in LLVM for 8 doubles at a time.

Explicit vectors stay in registers, and multiplies fuse with adds where the processor can (``contract``); loops over
small arrays get neither from numba. A tile runs at 38 Gfma/s on one core of an AVX-512 Xeon at 2.3 GHz, the kernels
before it ran at 2.6. Where vectors are narrower, LLVM splits each of 8 doubles in two or four.

All arrays are contiguous and one-dimensional, and are followed by the index at which the part that is meant begins.
Nothing is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES: Final = 8
"""Doubles of a vector; also the pairs of atoms whose orbit maps are applied together."""

TILE: Final = 4
"""Rows of a tile."""

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_ANY = ir.Constant(_VECTOR, ir.Undefined)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_INFINITE = ir.Constant(_VECTOR, [float("inf")] * LANES)
_NUMBERS = ir.VectorType(_I64, LANES)


class _Emitter:
    """Writes vector code; an offset counts array items."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    def at(self, pointer: Any, *offsets: Any) -> Any:
        for offset in offsets:
            pointer = self.b.gep(pointer, [ir.Constant(_I64, offset) if isinstance(offset, int) else offset])
        return pointer

    def index(self, pointer: Any, *offsets: Any) -> Any:
        """The integer there, as 64 bits."""
        value = self.b.load(self.at(pointer, *offsets))
        return value if value.type == _I64 else self.b.sext(value, _I64)

    def load(self, pointer: Any, *offsets: Any) -> Any:
        value = self.b.load(self.b.bitcast(self.at(pointer, *offsets), _VECTOR.as_pointer()))
        value.align = 8
        return value

    def store(self, value: Any, pointer: Any, *offsets: Any) -> None:
        self.b.store(value, self.b.bitcast(self.at(pointer, *offsets), _VECTOR.as_pointer())).align = 8

    def splat(self, pointer: Any, *offsets: Any) -> Any:
        """The number there in every lane."""
        first = self.b.insert_element(_ANY, self.b.load(self.at(pointer, *offsets)), ir.Constant(_I32, 0))
        return self.shuffle(first, _ANY, [0] * LANES)

    def shuffle(self, x: Any, y: Any, lanes: Sequence[int]) -> Any:
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))

    def register(self) -> Any:
        """A vector that LLVM keeps in a register; zero."""
        place = cgutils.alloca_once(self.b, _VECTOR)
        self.b.store(_ZERO, place)
        return place

    def add(self, x: Any, y: Any) -> Any:
        return self.b.fadd(x, y, flags=("contract",))

    def add_product(self, place: Any, x: Any, y: Any) -> None:
        self.b.store(self.add(self.b.load(place), self.b.fmul(x, y, flags=("contract",))), place)

    def loop(self, count: Any) -> Any:
        return cgutils.for_range(self.b, count, intp=_I64)


def _void(emit: Callable[..., Any], *given: Any, result: Any = types.void) -> Any:
    """Signature and code of an intrinsic; ``emit`` gets an emitter, data pointers and integers, and may give a result."""
    arguments = [t if isinstance(t, types.Array) else types.int64 for t in given]

    def generate(context: Any, builder: ir.IRBuilder, _: Any, values: Sequence[Any]) -> Any:
        data = [
            context.make_array(t)(context, builder, v).data if isinstance(t, types.Array) else v
            for t, v in zip(arguments, values, strict=True)
        ]
        value = emit(_Emitter(builder), *data)
        return context.get_dummy_value() if result == types.void else value

    return result(*arguments), generate


def _tile(m: _Emitter, vectors: int, c: Any, i: Any, ldc: Any, a: Any, ia: Any, lda: Any, ja: Any, la: Any, b: Any,
          ib: Any, ldb: Any, jb: Any, lb: Any, count: Any, add: bool = False) -> None:  # fmt: skip
    sums = [[m.register() for _ in range(vectors)] for _ in range(TILE)]
    with m.loop(count) as loop:
        left = m.at(a, ia, m.b.mul(m.index(ja, la, loop.index), lda))
        right = m.at(b, ib, m.b.mul(m.index(jb, lb, loop.index), ldb))
        across = [m.load(right, LANES * v) for v in range(vectors)]
        for row in range(TILE):
            scalar = m.splat(left, row)
            for v in range(vectors):
                m.add_product(sums[row][v], scalar, across[v])
    for row in range(TILE):
        place = m.at(c, i, m.b.mul(ir.Constant(_I64, row), ldc))
        for v in range(vectors):
            value = m.b.load(sums[row][v])
            m.store(m.add(m.load(place, LANES * v), value) if add else value, place, LANES * v)


@intrinsic
def tile16(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """C (4, 16) = Σ_t A[ja[la + t]] ⊗ B[jb[lb + t]], t < count.

    ``lda``, ``ldb`` and ``ldc`` are the lengths of the rows of A, of which 4 numbers are used, of B and of C.
    """
    return _void(lambda m, *v: _tile(m, 2, *v), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count)


@intrinsic
def tile8(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """As ``tile16``, C (4, 8)."""
    return _void(lambda m, *v: _tile(m, 1, *v), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count)


@intrinsic
def add_tile16(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """As ``tile16``, added to C."""
    return _void(lambda m, *v: _tile(m, 2, *v, add=True), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count)


def _turned(m: _Emitter, rows: list[Any]) -> list[Any]:
    """The columns of an 8 × 8 block as vectors."""
    # three rounds, which swap halves of 4, 2 and 1 between the rows that far apart
    for half in (4, 2, 1):
        low = [s for s in range(LANES) if not s & half]
        for r in low:
            x, y = rows[r], rows[r + half]
            rows[r] = m.shuffle(x, y, [s if not s & half else LANES + s - half for s in range(LANES)])
            rows[r + half] = m.shuffle(x, y, [s + half if not s & half else LANES + s for s in range(LANES)])
    return rows


def _transpose(m: _Emitter, target: Any, i: Any, ldt: Any, source: Any, k: Any, lds: Any) -> None:
    rows = _turned(m, [m.load(source, k, m.b.mul(ir.Constant(_I64, r), lds)) for r in range(LANES)])
    for r in range(LANES):
        m.store(rows[r], target, i, m.b.mul(ir.Constant(_I64, r), ldt))


@intrinsic
def transpose8(typing, target, i, ldt, source, k, lds):
    """An 8 × 8 block of ``source``, rows ``lds`` apart, transposed into ``target``, rows ``ldt`` apart."""
    return _void(_transpose, target, i, ldt, source, k, lds)


def _edge_rows(m: _Emitter, work: Any, rows: Any, count: Any, n: Any, ld: Any, g: Any, dg: Any) -> None:
    s, ds, f, df, rise, decay = (m.load(work, LANES * part) for part in range(6))
    two_s = m.b.fadd(s, s)
    ones = ir.Constant(_VECTOR, [1.0] * LANES)
    # T_k and U_{k−1} with those before them, which for k = 0 are those that the recursion takes to k = 1
    value, before, slope, before_slope = m.register(), m.register(), m.register(), m.register()
    m.b.store(ones, value)
    m.b.store(s, before)
    m.b.store(ir.Constant(_VECTOR, [-1.0] * LANES), before_slope)
    order = m.register()
    sharp = m.b.fmul(f, decay)
    # lanes without a pair write where lane 0 does, before it
    places = []
    for lane in range(LANES):
        there = m.b.icmp_signed("<", ir.Constant(_I64, lane), count)
        places.append(m.b.mul(m.index(rows, m.b.select(there, ir.Constant(_I64, lane), ir.Constant(_I64, 0))), ld))
    with m.loop(m.b.sdiv(ld, ir.Constant(_I64, LANES))) as block:
        first = m.b.mul(block.index, ir.Constant(_I64, LANES))
        values, slopes = [], []
        for step in range(LANES):
            k = m.b.load(order)
            t, u = m.b.load(value), m.b.load(slope)
            by_r = m.b.fmul(m.b.fmul(k, u), ds)
            whole = m.b.fadd(t, m.b.fmul(rise, by_r))
            known = m.b.icmp_signed("<", m.b.add(first, ir.Constant(_I64, step)), n)
            values.append(m.b.select(known, m.b.fmul(f, whole), _ZERO))
            slopes.append(m.b.select(known, m.b.fadd(m.b.fmul(df, whole), m.b.fmul(sharp, by_r)), _ZERO))
            m.b.store(m.b.fsub(m.b.fmul(two_s, t), m.b.load(before)), value)
            m.b.store(m.b.fsub(m.b.fmul(two_s, u), m.b.load(before_slope)), slope)
            m.b.store(t, before)
            m.b.store(u, before_slope)
            m.b.store(m.b.fadd(k, ones), order)
        for array, columns in ((g, values), (dg, slopes)):
            for place, row in zip(places[::-1], _turned(m, columns)[::-1], strict=True):
                m.store(row, array, place, first)


@intrinsic
def edge_rows(typing, work, rows, count, n, ld, g, dg):
    """Rows g_a(r) and g'_a(r), a < n, and zeros up to ``ld``, of up to 8 pairs.

    ``work`` (6, 8): s, s', f_c, f_c' and what continues a function inside, see ``edges.py``; pair p goes into the row
    ``rows``[p] of ``ld`` numbers. T_a and U_{a−1}, of which T'_a is a multiple, are by recursion.
    """
    return _void(_edge_rows, work, rows, count, n, ld, g, dg)


def _meet(
    m: _Emitter, partner: Any, i: Any, slot: Any, shift: Any, cell: Any, directed: Any, k: Any, count: Any
) -> None:
    with m.loop(count) as loop:
        place = m.index(slot, shift, m.index(cell, k, loop.index))
        m.b.store(m.b.trunc(m.index(directed, k, loop.index), _I32), m.at(partner, i, place))


@intrinsic
def meet(typing, partner, i, slot, shift, cell, directed, k, count):
    """partner[i + slot[shift + cell[k + t]]] = directed[k + t], t < ``count``."""
    return _void(_meet, partner, i, slot, shift, cell, directed, k, count)


def _copy_lanes(m: _Emitter, target: Any, i: Any, source: Any, k: Any, vectors: Any) -> None:
    with m.loop(vectors) as loop:
        offset = m.b.mul(loop.index, ir.Constant(_I64, LANES))
        m.store(m.load(source, k, offset), target, i, offset)


@intrinsic
def copy_lanes(typing, target, i, source, k, vectors):
    """target[i + q] = source[k + q], q < 8 × vectors."""
    return _void(_copy_lanes, target, i, source, k, vectors)


def _products(m: _Emitter, x: Any, i: Any, a: Any, ia: Any, b: Any, ib: Any, n: Any, vectors: Any) -> None:
    with m.loop(n) as row:
        scalar, place = m.splat(a, ia, row.index), m.at(x, i, m.b.mul(row.index, n))
        with m.loop(vectors) as column:
            offset = m.b.mul(column.index, ir.Constant(_I64, LANES))
            m.store(m.b.fmul(scalar, m.load(b, ib, offset)), place, offset)


@intrinsic
def products(typing, x, i, a, ia, b, ib, n, vectors):
    """X[n p + q] = a[p] b[q] for p, q < n, and up to 7 useless numbers behind; n ≤ 8 × vectors."""
    return _void(_products, x, i, a, ia, b, ib, n, vectors)


def _orbit_sums(m: _Emitter, d: Any, i: Any, e: Any, k: Any, terms: Any, it: Any, length: Any, columns: Any,
                lanes: Any, il: Any, g: Any, ig: Any) -> None:  # fmt: skip
    """``e`` may be ``None``: then only d."""
    with m.loop(columns) as column:
        force, power = m.register(), m.register()
        row = m.at(terms, it, m.b.mul(column.index, m.b.shl(length, ir.Constant(_I64, 1))))
        with m.loop(length) as term:
            pair = m.b.shl(term.index, ir.Constant(_I64, 1))
            moment = m.load(lanes, il, m.index(row, pair))
            function = m.index(row, pair, 1)
            m.add_product(force, m.load(g, ig, function), moment)
            if e is not None:
                m.add_product(power, m.load(g, ig, function, LANES), moment)
        offset = m.b.mul(column.index, ir.Constant(_I64, LANES))
        m.store(m.b.load(force), d, i, offset)
        if e is not None:
            m.store(m.add(m.load(e, k, offset), m.b.load(power)), e, k, offset)


@intrinsic
def orbit_sums(typing, d, i, e, k, terms, it, length, columns, lanes, il, g, ig):
    """Per column and lane, d = Σ_t g'[t] moment[t] over its ``length`` terms, and e += Σ_t g[t] moment[t].

    ``terms`` (columns, length, 2): where the 8 lanes of a moment and of a power (g' and, behind it, g) begin.
    """
    return _void(_orbit_sums, d, i, e, k, terms, it, length, columns, lanes, il, g, ig)


@intrinsic
def orbit_forces(typing, d, i, terms, it, length, columns, lanes, il, g, ig):
    """As ``orbit_sums``, but only d."""
    return _void(lambda m, d, i, *v: _orbit_sums(m, d, i, None, None, *v), d, i, terms, it, length, columns, lanes, il,
                 g, ig)  # fmt: skip


def _add_rows(m: _Emitter, lanes: Any, i: Any, pairs: Any, ip: Any, count: Any) -> None:
    with m.loop(count) as loop:
        pair = m.at(pairs, ip, m.b.shl(loop.index, ir.Constant(_I64, 1)))
        place = m.at(lanes, i, m.index(pair))
        m.store(m.add(m.load(place), m.load(lanes, i, m.index(pair, 1))), place)


@intrinsic
def add_rows(typing, lanes, i, pairs, ip, count):
    """lanes[p] += lanes[q], 8 numbers each, for ``count`` pairs (p, q) of indices."""
    return _void(_add_rows, lanes, i, pairs, ip, count)


def _dots(m: _Emitter, y: Any, i: Any, a: Any, ia: Any, lda: Any, x: Any, ix: Any, vectors: Any) -> None:
    sums = [m.register() for _ in range(TILE)]
    with m.loop(vectors) as loop:
        offset = m.b.mul(loop.index, ir.Constant(_I64, LANES))
        value = m.load(x, ix, offset)
        for row in range(TILE):
            m.add_product(sums[row], m.load(a, ia, m.b.mul(ir.Constant(_I64, row), lda), offset), value)
    for row in range(TILE):
        total = m.b.load(sums[row])
        for half in (4, 2, 1):
            total = m.add(total, m.shuffle(total, _ANY, [(s + half) % LANES for s in range(LANES)]))
        m.b.store(m.b.extract_element(total, ir.Constant(_I32, 0)), m.at(y, i, row))


@intrinsic
def dots(typing, y, i, a, ia, lda, x, ix, vectors):
    """y[r] = Σ_q A[r, q] x[q] for the 4 rows of A, ``lda`` apart; q < 8 × vectors."""
    return _void(_dots, y, i, a, ia, lda, x, ix, vectors)


def _folded(m: _Emitter, value: Any, join: Callable[[Any, Any], Any]) -> Any:
    """All lanes joined to one number."""
    for half in (4, 2, 1):
        value = join(value, m.shuffle(value, _ANY, [(s + half) % LANES for s in range(LANES)]))
    return m.b.extract_element(value, ir.Constant(_I32, 0))


def _foremost(m: _Emitter, sign: str, lanes: Any, bound: Any, otherwise: float) -> Any:
    """The least (``sign`` <) or largest (>) lane, if it is at least equal to the bound; folding takes long, and is rare."""
    found = cgutils.alloca_once_value(m.b, ir.Constant(ir.DoubleType(), otherwise))
    m.b.store(ir.Constant(ir.DoubleType(), otherwise), found)
    some = m.b.bitcast(m.b.fcmp_ordered(f"{sign}=", lanes, bound), ir.IntType(8))
    with m.b.if_then(m.b.icmp_unsigned("!=", some, ir.Constant(ir.IntType(8), 0)), likely=False):
        m.b.store(_folded(m, lanes, lambda x, y: m.b.select(m.b.fcmp_ordered(sign, x, y), x, y)), found)
    return m.b.load(found)


def _vectors(m: _Emitter, count: Any) -> Any:
    """How many vectors so many numbers are."""
    return m.b.sdiv(m.b.add(count, ir.Constant(_I64, LANES - 1)), ir.Constant(_I64, LANES))


def _squares_around(
    m: _Emitter, out: Any, x: Any, y: Any, z: Any, rank: Any, first: Any, count: Any, own: Any, bound: Any, p: Any
) -> Any:
    at, own_rank = [m.splat(own, k) for k in range(3)], m.splat(own, 3)
    least, left = m.register(), cgutils.alloca_once(m.b, _I64)
    m.b.store(_INFINITE, least)
    m.b.store(count, left)
    nothing = ir.Constant(_NUMBERS, ir.Undefined)
    with m.loop(_vectors(m, count)) as loop:
        offset = m.b.mul(loop.index, ir.Constant(_I64, LANES))
        square = _ZERO
        for array, centre in zip((x, y, z), at, strict=True):
            way = m.b.fsub(m.load(array, first, offset), centre)
            square = m.add(square, m.b.fmul(way, way, flags=("contract",)))
        one = m.b.insert_element(nothing, m.b.load(left), ir.Constant(_I32, 0))
        every = m.shuffle(one, nothing, [0] * LANES)
        there = m.b.icmp_signed("<", ir.Constant(_NUMBERS, list(range(LANES))), every)
        later = m.b.and_(there, m.b.fcmp_ordered(">", m.load(rank, first, offset), own_rank))
        square = m.b.select(later, square, _INFINITE)
        m.store(square, out, offset)
        before = m.b.load(least)
        m.b.store(m.b.select(m.b.fcmp_ordered("<", square, before), square, before), least)
        m.b.store(m.b.sub(m.b.load(left), ir.Constant(_I64, LANES)), left)
    return _foremost(m, "<", m.b.load(least), m.splat(bound, p), float("inf"))


@intrinsic
def squares_around(typing, out, x, y, z, rank, first, count, own, bound, p):
    """out[t] = |(x, y, z)[first + t] − own|², t < ``count``, infinite but for ranks above ``own``[3].

    The value is the least of them; infinite where none is at most bound[p]. Up to 7 numbers behind those that are meant
    are read, and infinities written there.
    """
    return _void(
        _squares_around, out, x, y, z, rank, first, count, own, bound, p, result=types.float64
    )  # fmt: skip


def _count_below(
    m: _Emitter, squares: Any, count: Any, limits: Any, bound: Any, c: Any, number: Any
) -> Any:  # fmt: skip
    limit, largest = m.splat(limits, c), m.register()
    ones = ir.Constant(_VECTOR, [1.0] * LANES)
    place = m.at(number, m.b.mul(c, ir.Constant(_I64, LANES)))
    below = m.register()
    m.b.store(m.load(place), below)
    with m.loop(_vectors(m, count)) as loop:
        square = m.load(squares, m.b.mul(loop.index, ir.Constant(_I64, LANES)))
        is_below = m.b.fcmp_ordered("<", square, limit)
        m.b.store(m.b.fadd(m.b.load(below), m.b.select(is_below, ones, _ZERO)), below)
        own, before = m.b.select(is_below, square, _ZERO), m.b.load(largest)
        m.b.store(m.b.select(m.b.fcmp_ordered(">", own, before), own, before), largest)
    m.store(m.b.load(below), place)
    return _foremost(m, ">", m.b.load(largest), m.splat(bound, c), 0.0)


@intrinsic
def count_below(typing, squares, count, limits, bound, c, number):
    """number[8 c:8 c + 8] gain how many of ``count`` squares, and infinities behind, are below limits[c], by lanes.

    The value is the largest of these; 0 where none is at least bound[c].
    """
    return _void(_count_below, squares, count, limits, bound, c, number, result=types.float64)


def _next_between(m: _Emitter, squares: Any, begin: Any, count: Any, bounds: Any, k: Any) -> Any:
    low, high = m.splat(bounds, k), m.splat(bounds, k, 1)
    found = cgutils.alloca_once_value(m.b, count)
    m.b.store(count, found)
    byte = ir.IntType(8)
    with m.loop(_vectors(m, m.b.sub(count, begin))) as loop:
        place = m.b.add(begin, m.b.mul(loop.index, ir.Constant(_I64, LANES)))
        square = m.load(squares, place)
        between = m.b.and_(m.b.fcmp_ordered(">=", square, low), m.b.fcmp_ordered("<", square, high))
        some = m.b.bitcast(between, byte)
        with m.b.if_then(m.b.icmp_unsigned("!=", some, ir.Constant(byte, 0))):
            lane = m.b.zext(m.b.cttz(some, ir.Constant(ir.IntType(1), 1)), _I64)
            m.b.store(m.b.add(place, lane), found)
            loop.do_break()
    return m.b.load(found)


@intrinsic
def next_between(typing, squares, begin, count, bounds, k):
    """The first t from ``begin`` on with bounds[k] ≤ squares[t] < bounds[k + 1]; ``count`` or more: there is none."""
    return _void(_next_between, squares, begin, count, bounds, k, result=types.int64)

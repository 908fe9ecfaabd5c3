"""The order of photos that lie in shards."""

from __future__ import annotations

from collections import Counter

import pytest

from ssrvae_tf.data.interleaving import MOST_LANES, Interleaving

COUNTS = [7, 3, 5, 9, 4, 6, 8]


def places(start, count, counts=COUNTS, batch_size=4, seed=(3, 0)):
    order = Interleaving(counts, batch_size, seed)
    return [order.place(index)[:2] for index in range(start, start + count)]


def test_no_photo_comes_much_oftener_than_another_whatever_the_sizes_of_the_shards():
    seen = Counter({(shard, at): 0 for shard, count in enumerate(COUNTS) for at in range(count)})
    for place in places(0, 10 * sum(COUNTS)):
        seen[place] += 1
        assert max(seen.values()) - min(seen.values()) <= 2  # a lane may be one shard behind another
    assert min(seen.values()) >= 9


def test_a_pass_over_equal_shards_holds_each_photo_once():
    found = places(0, 32, [8] * 4)
    assert len(set(found)) == 32
    assert places(32, 32, [8] * 4) != found and set(places(32, 32, [8] * 4)) == set(found)


def test_the_order_is_that_of_seed_and_index_whatever_was_asked_before():
    whole = places(0, 300)
    assert places(217, 83) == whole[217:]
    assert places(0, 300, seed=(4, 0)) != whole != places(0, 300, seed=(3, 1))
    backwards = Interleaving(COUNTS, 4, (3, 0))
    assert [backwards.place(index)[:2] for index in reversed(range(300))] == whole[::-1]


def test_as_many_shards_are_read_side_by_side_as_divide_the_batch():
    for batch_size, shards, lanes in ((16, 40, 16), (12, 40, 12), (16, 7, 4), (7, 5, 1), (64, 100, MOST_LANES)):
        assert Interleaving([5] * shards, batch_size, (0,)).lanes == lanes
    batch = places(0, 4)
    assert len({shard for shard, _ in batch}) == 4


@pytest.mark.parametrize("workers", [2, 4])
def test_at_any_time_workers_read_other_shards(workers):
    found = places(0, 400)
    for worker in range(workers):
        own = [place for index, place in enumerate(found) if index % 4 // (4 // workers) == worker]
        turns = [[shard for shard, _ in own[step : step + 4 // workers]] for step in range(0, len(own), 4 // workers)]
        changes = sum(bool(set(after) - set(before)) for before, after in zip(turns, turns[1:]))
        assert changes < 0.4 * len(turns)  # each lane stays at its shard
    for step in range(0, 400, 4):
        assert len({shard for shard, _ in found[step : step + 4]}) >= 3  # save where a new pass begins


def test_half_way_through_a_shard_the_next_one_is_named():
    order = Interleaving([6, 6, 6], 1, (0,))
    told = [order.place(index) for index in range(18)]
    following = [each[2] for each in told if each[2] is not None]
    assert [index for index, each in enumerate(told) if each[2] is not None] == [3, 9, 15]
    assert following[0] == told[6][0] and following[1] == told[12][0] and following[2] == order.place(18)[0]

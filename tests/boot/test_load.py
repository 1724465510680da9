"""A group under load: no request fails while it grows, while all its instances are replaced, and while a rollout is stopped
half-way and goes back."""

from collections.abc import Iterator

import pytest
from group import Instances, Load
from lab.deadline import wait_for

pytestmark = pytest.mark.variants


class TestGroup:
    @pytest.fixture(scope="class")
    @classmethod
    def instances(cls, binary) -> Iterator[Instances]:
        with Instances(binary) as instances:
            instances.launch(0)
            yield instances

    def test_it_grows_to_three(self, instances):
        with Load(instances) as load:
            instances.launch(1, 2)
            assert all(slot.in_service for slot in instances.slots)
            wait_for("requests to all", lambda: load.asked > 50, 30)
        assert load.failures == [] and instances.told() == [{"note": "first", "token": "one"}] * 3

    def test_a_rollout_replaces_all_with_a_new_commit_and_a_rotated_secret(self, instances):
        instances.commits.append(instances.commit("second"))
        instances.rotate("two")
        with Load(instances) as load:
            result = instances.rollout().result(300)
        assert result.code == 0, result.stderr
        assert load.failures == [] and load.asked > 100, load.failures[:5]
        assert instances.told() == [{"note": "second", "token": "two"}] * 3

    def test_a_rollout_that_is_stopped_half_way_goes_back(self, instances):
        instances.commits.append(instances.commit("third"))
        before = len(instances.group.refreshes)
        with Load(instances) as load:
            running = instances.rollout()
            new = {"note": "third", "token": "two"}

            def replaced() -> bool:
                first = instances.slots[0]
                return running.done() or (len(instances.group.refreshes) > before and first.in_service and first.told() == new)

            wait_for("the first instance", replaced, 120)
            assert not running.done(), running.result()
            pid = instances.laptop.check(["pgrep", "--full", "--oldest", "^bootagent rollout"]).strip()
            instances.laptop.check(["kill", "-INT", pid])
            result = running.result(300)
        assert result.code == 2 and f"runs commit {instances.commits[1][:12]} again" in result.stderr, result.stderr
        assert load.failures == [], load.failures[:5]
        assert instances.told() == [{"note": "second", "token": "two"}] * 3

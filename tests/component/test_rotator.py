"""Rotation of certificates on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import Conflict
from app.kube import connect
from certs.objects import BUNDLE_FROM, MUTATING, SECRET, VALIDATING, bundle_patch
from certs.pki import KeyPair, certificates, new_authority, new_leaf, private_key
from certs.policy import AUTHORITY_LIFE, LEAF_LIFE, leaf_fault
from certs.rotator import SPREAD
from tests.certificates import (
    FOREIGN,
    MARKS,
    NOW,
    OTHER,
    SOUND,
    Clock,
    Scene,
    bundles,
    encoded,
    new_scene,
    signed_by,
    soon,
    until,
)
from tests.controlplane.api import JSON_PATCH
from tests.controlplane.plane import ControlPlane
from tests.proxy import Answer, CutAnswer, Proxy, Rule
from tests.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(world: World, plane: ControlPlane) -> AsyncIterator[Scene]:
    async with new_scene(world, plane) as made:
        yield made


@pytest.mark.parametrize("secret", ["empty", "absent"])
async def test_the_first_start_creates_and_publishes_an_authority(
    scene: Scene, secret: str
) -> None:
    if secret == "empty":
        await scene.put_secret(None)
    await scene.put_configurations()

    async with scene.replica() as replica:
        authority = await scene.secret()
        if secret == "absent":
            made = (await scene.world.until(SECRET, scene.objects.secret))["metadata"]
            assert {key: made[key] for key in MARKS} == MARKS
        await scene.trusted(authority.cert)
        await until(lambda: replica.is_ready)

    assert len(replica.used) == 1
    assert leaf_fault(replica.leaf, scene.objects.names, authority.cert, NOW) is None
    namespace = scene.objects.namespace
    assert scene.objects.names[:2] == (
        f"webhook.{namespace}.svc",
        f"webhook.{namespace}.svc.cluster.local",
    )


async def test_a_restart_uses_the_stored_authority_and_writes_nothing(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as first:
        await until(lambda: first.is_ready)
    before = await scene.versions()

    async with scene.replica() as second:
        await until(lambda: second.is_ready)

    assert signed_by(second.leaf, SOUND)
    assert second.leaf != first.leaf
    assert await scene.versions() == before


async def test_not_ready_before_both_configurations_have_the_bundle(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    validating = {**scene.configuration("validate", "protect"), "kind": VALIDATING.kind}
    await scene.world.put(VALIDATING, validating)

    async with scene.replica() as replica:
        await until(lambda: replica.said)
        assert (
            replica.said[-1]
            == f"MutatingWebhookConfiguration {scene.objects.mutating} does not exist"
        )
        mutating = {**scene.configuration(), "kind": MUTATING.kind}
        await scene.world.put(MUTATING, mutating)
        await until(lambda: replica.said[-1] and "no entry that calls us" in replica.said[-1])
        assert not any(said is None for said in replica.said)

        await scene.put_configurations()

        await until(lambda: replica.is_ready)


@pytest.mark.fault("F54")
async def test_two_replicas_agree_on_one_ca(
    scene: Scene, plane: ControlPlane, tmp_path: Path
) -> None:
    await scene.put_secret(None)
    await scene.put_configurations()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Proxy(plane, tmp_path / "a") as one, Proxy(plane, tmp_path / "b") as two:
        async with scene.replica(one.kubeconfig) as first, scene.replica(two.kubeconfig) as second:
            await until(lambda: first.is_ready and second.is_ready)
            authority = await scene.secret()
            for replica in (first, second):
                assert signed_by(replica.leaf, authority)
            assert len(certificates(authority.cert)) == 1
            await scene.trusted(authority.cert)
        for proxy in (one, two):
            assert proxy.count(resource="secrets", code=409) <= 1


@pytest.mark.fault("F51")
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(KeyPair(b"", b""), id="emptied"),
        pytest.param(KeyPair(SOUND.cert[:300], SOUND.key), id="truncated"),
        pytest.param(KeyPair(SOUND.cert, OTHER.key), id="key of another pair"),
        pytest.param(KeyPair(SOUND.cert, b""), id="without key"),
        pytest.param(new_leaf(SOUND, ["webhook"], NOW, LEAF_LIFE), id="not an authority"),
        pytest.param(new_authority("ca", NOW, timedelta(seconds=5)), id="about to end"),
        pytest.param(None, id="deleted"),
    ],
)
async def test_a_broken_secret_is_replaced_and_served_certificates_stay_trusted(
    scene: Scene, bad: KeyPair | None
) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        old = replica.leaf

        async def broken() -> KeyPair:
            if bad is None:
                await scene.world.delete(SECRET, scene.objects.secret)
            else:
                await scene.put_secret(bad)
            return await scene.secret(lambda pair: pair not in (SOUND, bad))

        new = await soon(broken, seconds=5)

        assert not signed_by(old, new)
        await scene.trusted(new.cert)
        assert leaf_fault(old, scene.objects.names, new.cert, NOW) is None
        assert replica.leaf == old
        scene.clock.ahead = SPREAD
        await until(lambda: signed_by(replica.leaf, new))
        assert replica.is_ready


@pytest.mark.fault("F52")
@pytest.mark.parametrize("value", ["", encoded(OTHER.cert)], ids=["emptied", "replaced"])
@pytest.mark.parametrize("resource", [VALIDATING, MUTATING], ids=lambda r: r.kind)
async def test_a_removed_bundle_is_restored(scene: Scene, resource: object, value: str) -> None:
    assert resource in (VALIDATING, MUTATING)
    of = VALIDATING if resource == VALIDATING else MUTATING
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        patch = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": value}]

        async def removed() -> None:
            await scene.world.patch(of, scene.objects.validating, patch, kind=JSON_PATCH)
            await scene.trusted(SOUND.cert)

        await soon(removed, seconds=2)

        assert replica.is_ready


@pytest.mark.parametrize("name", [BUNDLE_FROM, "cert-manager.io/inject-ca-from"])
async def test_bundle_of_others_is_not_replaced(scene: Scene, name: str) -> None:
    """The mode is changed while a replica of the mode before still runs."""
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        changed = scene.configuration("validate", "protect")
        for webhook in changed["webhooks"]:
            webhook["clientConfig"]["caBundle"] = encoded(OTHER.cert)
        changed["metadata"]["annotations"] = {name: "other"}
        await scene.world.put(VALIDATING, {**changed, "kind": VALIDATING.kind})
        # The other configuration is repaired, so the first one was seen too.
        mutating = {**scene.configuration("mutate"), "kind": MUTATING.kind}
        await scene.world.put(MUTATING, mutating)
        at = scene.objects.mutating
        await scene.world.until(
            MUTATING, at, lambda o: [b for n, b in bundles(o) if n != FOREIGN] == [SOUND.cert]
        )
        looks = len(replica.said)
        await until(lambda: len(replica.said) > looks + 2)

        found = await scene.world.get(VALIDATING, scene.objects.validating)
        assert found is not None
        assert {bundle for _, bundle in bundles(found)} == {OTHER.cert}
        assert replica.is_ready


@pytest.mark.fault("F53")
async def test_recreated_configurations_get_the_bundle(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)

        async def recreated() -> None:
            for resource in (VALIDATING, MUTATING):
                await scene.world.delete(resource, scene.objects.validating)
                await scene.world.until_gone(resource, scene.objects.validating)
            await scene.put_configurations()
            await scene.trusted(SOUND.cert)

        await soon(recreated, seconds=2)

        # If all replicas became unready, calls of the other configuration would fail.
        assert not any(replica.said[replica.said.index(None) :])


async def test_a_new_authority_is_published_before_it_is_used(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)

        scene.clock.ahead = AUTHORITY_LIFE * 2 / 3

        new = await scene.secret()
        assert certificates(new.cert)[1:] == certificates(SOUND.cert)
        await scene.trusted(new.cert)
        # The old certificate has ended as well, so it is replaced at once.
        await until(lambda: signed_by(replica.leaf, new))
        scene.clock.ahead += LEAF_LIFE
        served = len(replica.used)
        await until(lambda: len(replica.used) > served)
        assert signed_by(replica.leaf, new)


async def test_an_ended_authority_is_removed_from_the_bundle(scene: Scene) -> None:
    short = new_authority("ca", NOW, timedelta(days=1))
    bundle = KeyPair(SOUND.cert + short.cert, SOUND.key)
    await scene.put_secret(bundle)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        await scene.trusted(bundle.cert)

        scene.clock.ahead = timedelta(days=2)

        left = await scene.secret(lambda pair: len(certificates(pair.cert)) == 1)
        assert left == SOUND
        await scene.trusted(SOUND.cert)


async def test_a_serving_certificate_is_renewed_at_two_thirds_without_a_write(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        before = await scene.versions()
        scene.clock.ahead = LEAF_LIFE * 2 / 3 - timedelta(minutes=1)
        looks = len(replica.said)
        await until(lambda: len(replica.said) > looks + 2)
        assert len(replica.used) == 1

        scene.clock.ahead = LEAF_LIFE * 2 / 3

        await until(lambda: len(replica.used) == 2)
        assert leaf_fault(replica.leaf, scene.objects.names, SOUND.cert, scene.clock()) is None
        assert await scene.versions() == before


async def test_rotation_catches_up_after_a_suspend(scene: Scene) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)

        scene.clock.ahead = LEAF_LIFE + timedelta(days=1)

        await until(lambda: len(replica.used) == 2)
        await until(lambda: replica.is_ready)
        assert leaf_fault(replica.leaf, scene.objects.names, SOUND.cert, scene.clock()) is None


async def test_without_permission_to_create_the_secret_the_rest_goes_on(
    scene: Scene, plane: ControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    with Proxy(plane, tmp_path) as proxy:
        refusal = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "not you"}
        proxy.add(Rule(Answer(403, refusal), verb="create", resource="secrets", times=None))
        async with scene.replica(proxy.kubeconfig) as replica:
            await until(lambda: replica.is_ready)
            await scene.world.delete(SECRET, scene.objects.secret)
            await until(lambda: "not you" in caplog.text)

            await scene.put_configurations()  # without bundles

            await scene.trusted(SOUND.cert)
            scene.clock.ahead = LEAF_LIFE * 2 / 3
            await until(lambda: len(replica.used) == 2)
            assert signed_by(replica.leaf, SOUND)
            await scene.put_secret(None)
            await scene.secret()


@pytest.mark.fault("F56")
@pytest.mark.parametrize("skew", [timedelta(minutes=10), timedelta(hours=2)], ids=str)
async def test_replicas_with_clock_skew_do_not_rotate_repeatedly(
    scene: Scene, skew: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.put_secret(None)
    await scene.put_configurations()
    async with scene.replica() as right:
        await until(lambda: right.is_ready)
        authority = await scene.secret()
        await scene.trusted(authority.cert)
        before = await scene.versions()
        async with scene.replica(clock=Clock(-skew)) as behind:
            await until(lambda: behind.is_ready)
            looks = [len(right.said) + 5, len(behind.said) + 5]
            await until(lambda: len(right.said) > looks[0] and len(behind.said) > looks[1])

            assert await scene.versions() == before
            assert await scene.secret() == authority
            names = scene.objects.names
            assert leaf_fault(behind.leaf, names, authority.cert, scene.clock()) is None
            assert len(behind.used) == len(right.used) == 1
            assert behind.is_ready
            is_reported = skew > timedelta(hours=1)
            assert behind.early[-1] is is_reported
            assert right.early[-1] is False
            assert caplog.text.count("the certificate authority begins at") == is_reported


async def test_a_valid_certificate_is_kept_until_the_new_authority_begins(
    scene: Scene,
) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        future = new_authority("ca", NOW + timedelta(hours=3), AUTHORITY_LIFE)
        bundle = KeyPair(future.cert + SOUND.cert, future.key)

        await scene.put_secret(bundle)

        await scene.trusted(bundle.cert)
        await until(lambda: replica.early[-1])
        # After SPREAD, but before the authority begins.
        scene.clock.ahead = timedelta(hours=1)
        looks = len(replica.said)
        await until(lambda: len(replica.said) > looks + 5)
        assert signed_by(replica.leaf, SOUND)
        assert replica.is_ready
        scene.clock.ahead = timedelta(hours=3)
        await until(lambda: signed_by(replica.leaf, future))


async def test_a_broken_watch_loses_no_change(
    scene: Scene, plane: ControlPlane, tmp_path: Path
) -> None:
    await scene.put_secret(SOUND)
    await scene.put_configurations()
    with Proxy(plane, tmp_path) as proxy:
        proxy.add(Rule(CutAnswer(0), verb="watch", resource=VALIDATING.plural, times=2))
        async with scene.replica(proxy.kubeconfig) as replica:
            await until(lambda: replica.is_ready)
            await scene.put_configurations()  # without bundles
            await scene.trusted(SOUND.cert)


async def test_a_patch_of_an_outdated_version_is_rejected(
    scene: Scene, plane: ControlPlane
) -> None:
    await scene.put_configurations()
    async with connect(str(plane.kubeconfig)) as kube:
        old = await kube.get(VALIDATING, None, scene.objects.validating)
        await scene.world.put(
            VALIDATING, {**scene.configuration("protect", "validate"), "kind": VALIDATING.kind}
        )
        patch = bundle_patch(old, SOUND.cert)
        with pytest.raises(Conflict):
            await kube.json_patch(VALIDATING, None, scene.objects.validating, patch)


async def test_no_key_is_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await scene.put_configurations()
    async with scene.replica() as replica:
        authority = await scene.secret()
        await until(lambda: replica.is_ready)
        await scene.put_secret(KeyPair(authority.cert, OTHER.key))
        new = await scene.secret()
        scene.clock.ahead = SPREAD
        await until(lambda: signed_by(replica.leaf, new))
    assert "a new authority: its key belongs to another certificate" in caplog.text
    for pair in (authority, OTHER, new, *replica.used):
        assert private_key(pair.key)
        for line in pair.key.splitlines()[1:-1]:
            assert line.decode() not in caplog.text
            assert encoded(line) not in caplog.text

from datetime import UTC, datetime, timedelta

import pytest

from certs.pki import KeyPair, certificates, new_authority, new_leaf, own_certificate
from certs.policy import (
    MAX_BUNDLE_CERTIFICATES,
    authority_fault,
    bundle_of,
    early_start,
    leaf_due,
    leaf_fault,
    new_leaf_life,
    serving_fault,
    wanted_authority,
)

BORN = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMES = ["webhook.booster.svc", "webhook.booster.svc.cluster.local"]

CA = new_authority("ca", BORN, 360 * DAY)
NEXT_CA = new_authority("ca", BORN + 240 * DAY, 360 * DAY)
LEAF = new_leaf(CA, NAMES, BORN, 30 * DAY)
WILD = new_leaf(CA, ["*.booster.svc"], BORN, 30 * DAY)


@pytest.mark.parametrize(
    ("pair", "age", "want"),
    [
        pytest.param(None, 0 * DAY, "there is none yet", id="first start"),
        pytest.param(CA, 0 * DAY, None, id="new"),
        pytest.param(CA, -HOUR, None, id="our clock an hour late"),
        pytest.param(CA, -HOUR - 5 * MINUTE, None, id="as late as may be"),
        pytest.param(CA, -2 * HOUR, None, id="our clock two hours behind"),
        pytest.param(CA, -400 * DAY, None, id="our clock a year behind"),
        pytest.param(CA, 240 * DAY - SECOND, None, id="just before two thirds"),
        pytest.param(CA, 240 * DAY, "it ends at 2030-12-27T12:00:00Z", id="at two thirds"),
        pytest.param(CA, 361 * DAY, "it ends at 2030-12-27T12:00:00Z", id="over"),
        pytest.param(LEAF, DAY, "its certificate is not that of an authority", id="a leaf"),
        pytest.param(
            KeyPair(b"", CA.key), DAY, "its certificate cannot be read", id="no certificate"
        ),
        pytest.param(
            KeyPair(CA.cert[:-40], CA.key), DAY, "its certificate cannot be read", id="truncated"
        ),
        pytest.param(KeyPair(CA.cert, b""), DAY, "its key cannot be read", id="no key"),
        pytest.param(
            KeyPair(CA.cert, CA.key[:60]), DAY, "its key cannot be read", id="truncated key"
        ),
        pytest.param(
            KeyPair(CA.cert, NEXT_CA.key),
            DAY,
            "its key belongs to another certificate",
            id="mixed pair",
        ),
        pytest.param(KeyPair(CA.cert + NEXT_CA.cert, CA.key), DAY, None, id="a bundle"),
    ],
)
def test_authority_fault(pair: KeyPair | None, age: timedelta, want: str | None) -> None:
    assert authority_fault(pair, BORN + age) == want


@pytest.mark.parametrize(
    ("age", "early"),
    [
        pytest.param(0 * DAY, False, id="same clock"),
        pytest.param(-HOUR - 5 * MINUTE, False, id="within the tolerance"),
        pytest.param(-HOUR - 6 * MINUTE, True, id="behind"),
        pytest.param(-400 * DAY, True, id="a year behind"),
        pytest.param(400 * DAY, False, id="ahead"),
    ],
)
def test_an_authority_that_begins_later_is_reported_and_kept(age: timedelta, early: bool) -> None:
    begins = own_certificate(CA.cert).not_valid_before_utc
    assert early_start(CA, BORN + age) == (begins if early else None)
    if age < 0 * DAY:
        assert wanted_authority(CA, [], "new", BORN + age) == (CA, None)


@pytest.mark.parametrize("behind", [10 * MINUTE, 2 * HOUR, 60 * DAY])
def test_what_a_clock_that_is_behind_signs_is_valid_by_the_right_time(behind: timedelta) -> None:
    right = BORN + DAY
    ours = right - behind
    leaf = new_leaf(CA, NAMES, ours, new_leaf_life(CA, None, ours))
    assert leaf_fault(leaf, NAMES, CA.cert, right) is None
    assert leaf_fault(leaf, NAMES, CA.cert, ours) is None


def test_a_leaf_signed_by_a_clock_that_was_ahead_is_replaced_by_one_that_ends_no_earlier() -> None:
    ahead = BORN + 40 * DAY
    old = new_leaf(CA, NAMES, ahead, new_leaf_life(CA, None, ahead))
    assert leaf_fault(old, NAMES, CA.cert, BORN) == "it begins at 2030-02-10T11:00:00Z"
    new = new_leaf(CA, NAMES, BORN, new_leaf_life(CA, old, BORN))
    assert leaf_fault(new, NAMES, CA.cert, BORN) is None
    assert leaf_fault(new, NAMES, CA.cert, ahead) is None


@pytest.mark.parametrize(
    ("leaf", "names", "bundle", "age", "want"),
    [
        pytest.param(None, NAMES, CA.cert, DAY, "there is none yet", id="first start"),
        pytest.param(LEAF, NAMES, CA.cert, DAY, None, id="good"),
        pytest.param(LEAF, NAMES, NEXT_CA.cert + CA.cert, DAY, None, id="signed by one before"),
        pytest.param(LEAF, NAMES, CA.cert, 20 * DAY, None, id="due, and still good"),
        pytest.param(LEAF, NAMES, CA.cert, 30 * DAY - 6 * MINUTE, None, id="to the last minutes"),
        pytest.param(LEAF, NAMES, CA.cert, 30 * DAY, "it ends at 2030-01-31T12:00:00Z", id="over"),
        pytest.param(
            LEAF,
            NAMES,
            CA.cert,
            30 * DAY - 5 * MINUTE,
            "it ends at 2030-01-31T12:00:00Z",
            id="over for a clock that is ahead",
        ),
        pytest.param(
            LEAF,
            [*NAMES, "webhook.other.svc"],
            CA.cert,
            DAY,
            "it is not for the name webhook.other.svc",
            id="moved to another namespace",
        ),
        pytest.param(
            LEAF,
            NAMES,
            NEXT_CA.cert,
            DAY,
            "none of the trusted authorities signed it",
            id="authority replaced and forgotten",
        ),
        pytest.param(
            LEAF, NAMES, b"", DAY, "none of the trusted authorities signed it", id="no trust"
        ),
        pytest.param(
            KeyPair(LEAF.cert, CA.key),
            NAMES,
            CA.cert,
            DAY,
            "its key belongs to another certificate",
            id="mixed pair",
        ),
    ],
)
def test_leaf_fault(
    leaf: KeyPair | None, names: list[str], bundle: bytes, age: timedelta, want: str | None
) -> None:
    assert leaf_fault(leaf, names, bundle, BORN + age) == want


def test_a_leaf_whose_authority_has_ended_is_at_fault() -> None:
    # A leaf of ours ends with its authority; this one takes its end from another certificate.
    short, longer = new_authority("ca", BORN, DAY), new_authority("ca", BORN, 9 * DAY)
    leaf = new_leaf(KeyPair(longer.cert, short.key), NAMES, BORN, 9 * DAY)
    assert leaf_fault(leaf, NAMES, short.cert, BORN) is None
    assert (
        leaf_fault(leaf, NAMES, short.cert, BORN + 2 * DAY)
        == "the authority that signed it has ended"
    )


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param("webhook.booster.svc", None, id="one label"),
        pytest.param("a.b.booster.svc", "it is not for the name a.b.booster.svc", id="two labels"),
        pytest.param("booster.svc", "it is not for the name booster.svc", id="no label"),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, want: str | None) -> None:
    assert serving_fault(WILD, [name], BORN) == want


@pytest.mark.parametrize(
    ("bundle", "age", "want"),
    [
        pytest.param(CA.cert, 20 * DAY - SECOND, None, id="just before two thirds"),
        pytest.param(CA.cert, 20 * DAY, "it ends at 2030-01-31T12:00:00Z", id="at two thirds"),
        pytest.param(
            NEXT_CA.cert + CA.cert, DAY, "another authority signs now", id="new authority"
        ),
    ],
)
def test_leaf_due(bundle: bytes, age: timedelta, want: str | None) -> None:
    assert leaf_due(LEAF, bundle, BORN + age) == want


def test_a_certificate_of_seconds_is_due_at_two_thirds_too() -> None:
    # The hour before its making does not count as life.
    leaf = new_leaf(CA, NAMES, BORN, 30 * SECOND)
    assert leaf_due(leaf, CA.cert, BORN + 19 * SECOND) is None
    assert leaf_due(leaf, CA.cert, BORN + 20 * SECOND) is not None


def own(*pairs: KeyPair) -> list[object]:
    return [own_certificate(pair.cert) for pair in pairs]


def test_the_bundle_begins_with_the_authority_that_signs() -> None:
    at = BORN + 250 * DAY
    assert certificates(bundle_of(NEXT_CA.cert, [CA.cert], at)) == own(NEXT_CA, CA)
    assert certificates(bundle_of(CA.cert, [NEXT_CA.cert], at)) == own(CA, NEXT_CA)


def test_a_replaced_authority_stays_in_the_bundle_until_it_ends() -> None:
    end = BORN + 360 * DAY
    assert certificates(bundle_of(NEXT_CA.cert, [CA.cert], end)) == own(NEXT_CA, CA)
    assert certificates(bundle_of(NEXT_CA.cert, [CA.cert], end + 5 * MINUTE)) == own(NEXT_CA)


def test_leaves_junk_and_doubles_do_not_get_into_the_bundle() -> None:
    others = [LEAF.cert, b"junk", CA.cert, CA.cert + NEXT_CA.cert]
    assert certificates(bundle_of(NEXT_CA.cert, others, BORN)) == own(NEXT_CA, CA)


def test_an_authority_without_fault_stays() -> None:
    assert wanted_authority(CA, [NEXT_CA.cert], "new", BORN + DAY) == (CA, None)


def test_a_first_authority_stands_alone() -> None:
    made, why = wanted_authority(None, [], "new", BORN)
    assert authority_fault(made, BORN) is None
    assert len(certificates(made.cert)) == 1
    assert why == "a new authority: there is none yet"


def test_a_new_authority_stands_before_all_that_were_trusted() -> None:
    at = BORN + 240 * DAY
    made, why = wanted_authority(CA, [NEXT_CA.cert, LEAF.cert, b"junk"], "new", at)
    assert why == "a new authority: it ends at 2030-12-27T12:00:00Z"
    assert certificates(made.cert)[1:] == own(NEXT_CA, CA)
    assert authority_fault(made, at) is None


def test_an_authority_that_has_ended_is_taken_out_of_the_bundle_of_one_that_stays() -> None:
    old = new_authority("ca", BORN, DAY)
    both = KeyPair(CA.cert + old.cert, CA.key)
    assert wanted_authority(both, [], "new", BORN) == (both, None)
    assert wanted_authority(both, [], "new", BORN + 2 * DAY) == (
        CA,
        "an authority of its bundle has ended",
    )


def test_the_same_bundle_comes_out_of_itself() -> None:
    bundle = bundle_of(NEXT_CA.cert, [CA.cert], BORN)
    assert bundle_of(bundle, [], BORN) == bundle


def test_the_bundle_does_not_grow_without_end() -> None:
    made = [
        new_authority("ca", BORN + i * HOUR, 360 * DAY) for i in range(2 * MAX_BUNDLE_CERTIFICATES)
    ]
    bundle = b""
    for pair in made:
        bundle = bundle_of(pair.cert, [bundle], BORN + DAY)
    newest = list(reversed(made))[:MAX_BUNDLE_CERTIFICATES]
    assert certificates(bundle) == own(*newest)

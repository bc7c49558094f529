"""Every profile fits into the memory of its devices, with the image that templates use."""

from __future__ import annotations

from app.catalog.images import image_of, release_in
from app.catalog.layouts import layout_of
from app.catalog.memory import memory_of
from app.catalog.templates import engines_of, templates
from app.engines.release import release


def test_every_profile_fits_and_its_image_serves_the_model() -> None:
    wrong = []
    for template in templates():
        for profile in template.profiles:
            engines = engines_of(template, profile)
            place = f"{template.name} {profile.name}"
            wrong += [] if engines else [f"{place}: no engine serves it"]
            for engine in engines:
                of = release_in(engine, image_of(template.model, profile, engine))
                since = template.model.engines[engine].since
                if of < release(since):
                    wrong.append(f"{place}: {engine} {of} is older than {since}")
                found = memory_of(template.model, layout_of(template, profile, engine, of))
                if not found.fits:
                    wrong.append("\n".join([f"{place} with {engine}:", *found.lines()]))
    assert wrong == [], "\n".join(wrong)

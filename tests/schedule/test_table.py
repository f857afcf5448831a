"""Schedules print as a table of all that they do."""

import maskedit as me


def test_a_schedule_prints_as_a_table_of_everything_that_it_does():
    def fade(step: int) -> float:
        return 0.99**step

    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3, layers=[0, 1, 2, 5]), stop=me.Plateau(patience=9)),
        me.Stage("edit", 200, keep + fade * me.attribute("smiling"), vary=me.unchanged(), after_step=[me.GrowTarget()]),
        me.Stage("detail", 5, keep, vary=[me.noise(lr=0.1), me.latent(lr=fade, components=3)], keep_best=True),
        me.Stage("last", 5, keep, vary=me.latent(along=["smiling", "young"])),
        blend=me.AddChange(softness=2, since="fit"),
    )
    text = repr(schedule)
    for part in (
        "fit",
        "500",
        "latent (Adam, lr 0.001, layers 0-2, 5)",
        "stops when total gains < 0.001 in 9 steps",
        "unchanged",
        "fade",
        "SemanticKL(smoothing=0.05) of smiling = 1",
        "after each step: GrowTarget()",
        "noise (Adam, lr 0.1) + latent (Adam, lr ",
        "3 components",
        "along smiling + young",
        "keeps the best step",
        "blend (add change, preserving skin, target of the input, softened by 2 px, the change since fit)",
    ):
        assert part in text, part
    assert schedule.steps == 710

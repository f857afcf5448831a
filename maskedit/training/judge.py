"""Train the judge: ``maskedit train judge --faces FOLDER --labels LABELS --out RUN``.

A second classifier, of another architecture, from another seed and the other half of the people. No edit is ever
optimised against it: it says whether an edit worked.
"""

from maskedit.models.networks.portraits import PortraitJudge
from maskedit.training.classifier import ClassifierHyperparameters, classifier_options, training
from maskedit.training.loop import train

PRESETS = {"bundled": ClassifierHyperparameters(seed=1)}


def main(arguments: list[str] | None = None) -> None:
    hyper, options = classifier_options(__doc__, PRESETS, arguments)
    what = training(PortraitJudge(), "b", hyper, options)
    train(what, hyper, out=options.out, every=options.every, device=options.device)


if __name__ == "__main__":
    main()

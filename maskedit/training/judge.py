"""Train the judge: ``maskedit train judge --faces FOLDER --labels LABELS --out RUN``.

A second classifier, of another architecture, from another seed and the other half of the people. No edit is ever
optimised against it: it says whether an edit worked.
"""

from maskedit.models.networks.portraits import PortraitJudge
from maskedit.training.classifier import TeachingProtocol, teach

PRESETS = {"bundled": TeachingProtocol(seed=1)}


def main(arguments: list[str] | None = None) -> None:
    teach(PortraitJudge(), "b", __doc__, PRESETS, arguments)


if __name__ == "__main__":
    main()

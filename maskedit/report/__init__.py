"""What people look at: a progress bar while a run goes; contact sheets, loss curves and films when it ends."""

from maskedit.report.curves import loss_curves
from maskedit.report.film import Film
from maskedit.report.pictures import to_picture
from maskedit.report.progress_bar import Progress, progress
from maskedit.report.sheets import sheet

__all__ = ["Film", "Progress", "loss_curves", "progress", "sheet", "to_picture"]

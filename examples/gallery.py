"""One edit after the other of the public-domain portrait of Eileen Collins, in ``gallery.png``.

python examples/gallery.py [ATTRIBUTE[=VALUE] ...], some ten seconds each
"""

import sys

import torch
from skimage import data

import maskedit as me
from maskedit.commands.edit import wish_of
from maskedit.photo import crop
from maskedit.report import sheet

WISHES = ("brown_hair", "black_hair", "gray_hair", "bushy_eyebrows", "arched_eyebrows", "smiling=0")

torch.set_num_threads(1)  # pictures of 64 px are too small to share
models = me.load("portraits")
photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255
columns = {}
for wish in sys.argv[1:] or WISHES:
    edited = me.edit_photo(photo, wish_of([wish]), models=models)
    columns.setdefault("photo", crop(photo, edited.alignment, 256))
    columns[wish.replace("_", " ").replace("=0", " removed")] = crop(edited.photo, edited.alignment, 256)
    print(wish, {name: edited.attributes[name] for name in edited.recipe.edit.attributes})
sheet(columns, "gallery.png")

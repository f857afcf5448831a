"""One loss of maskedit in somebody else's inversion loop: no models, schedules or anything else of it."""

import torch
from toy_models import ToyGenerator, toy_photos

from maskedit.losses import MaskedMSE

generator = ToyGenerator()  # any module or function that draws pictures
photos = toy_photos(2)
mask = torch.zeros(2, 1, 32, 32)
mask[:, :, 10:28, 8:24] = 1  # the face, roughly; any mask in [0, 1]

latent = torch.zeros(2, 3, 4, requires_grad=True)
noises = [torch.zeros(2, 1, *shape) for shape in generator.noise_shapes]
optimizer = torch.optim.Adam([latent], lr=0.05)
keep = MaskedMSE()

losses = []
for _ in range(150):
    loss = keep(generator.synthesize(latent, noises), photos, mask)  # one value for each picture
    optimizer.zero_grad()
    loss.sum().backward()  # a sum: pictures of a batch do not weaken each other
    optimizer.step()
    losses.append(loss.detach())

print("error in the mask, for each photo: before", losses[0].tolist(), "after", losses[-1].tolist())

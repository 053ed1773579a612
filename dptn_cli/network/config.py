"""The generator's sizes, and the image sizes of the published data sets."""

from dataclasses import dataclass

from dptn_cli.errors import ModelError
from dptn_cli.types import JOINTS, ImageSpec

IMAGE_SPECS = {
    "fashion": ImageSpec("fashion", image_size=(256, 176), network_size=(256, 256)),
    "market": ImageSpec("market", image_size=(128, 64), network_size=(128, 64)),
}


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator's widths and depths.

    The defaults are those of the published generator, which has 9,794,371 parameters.

    Attributes:
        width: channels after the first downsampling; each of the next two doubles them.
        residual_blocks: number of residual blocks after the encoder.
        heads: attention heads of the Pose Transformer Module (PTM).
        feed_forward: hidden width of the PTM's feed-forward layers.
        context_blocks: number of Context Augment Blocks (CAB), which attend to the source
            features.
        transfer_blocks: number of Texture Transfer Blocks (TTB), which carry the source's texture
            over to the target features.
        joints: keypoint maps per pose; always 18.

    Raises:
        ModelError: a size is out of range, or the sizes do not fit together.
    """

    width: int = 64
    residual_blocks: int = 3
    heads: int = 2
    feed_forward: int = 256
    context_blocks: int = 2
    transfer_blocks: int = 2
    joints: int = JOINTS

    def __post_init__(self) -> None:
        sizes = vars(self)
        if any(type(size) is not int or not 1 <= size <= 4096 for size in sizes.values()):
            raise ModelError(f"not valid sizes for a generator: {sizes}")
        if self.feature_width % self.heads:
            raise ModelError(
                f"{self.feature_width} channels cannot be divided among {self.heads} heads"
            )
        if self.joints != JOINTS:
            raise ModelError(f"this generator has {self.joints} joints per pose; dptn has {JOINTS}")

    @property
    def feature_width(self) -> int:
        """Return the number of channels of the features that the transformer works on."""
        return 4 * self.width

"""How wide and deep the networks are, and the frames of the published data sets."""

from dataclasses import dataclass

from dptn_cli.errors import ModelError
from dptn_cli.types import JOINTS, ImageSpec

IMAGE_SPECS = {
    "fashion": ImageSpec("fashion", image_size=(256, 176), network_size=(256, 256)),
    "market": ImageSpec("market", image_size=(128, 64), network_size=(128, 64)),
}


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator's widths and depths. The defaults are the published 9,794,371 parameters.

    Attributes:
        width: channels after the first down-sampling; they double at each of the next two.
        residual_blocks: residual blocks after the encoder.
        heads: attention heads of the Pose Transformer Module.
        feed_forward: hidden width of its feed-forward layers.
        context_blocks: Context Augment Blocks (CAB), over the source features.
        transfer_blocks: Texture Transfer Blocks (TTB), over the target features.
        joints: keypoint maps per pose.

    Raises:
        ModelError: numbers that no generator can have.
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
            raise ModelError(f"a generator cannot have the sizes {sizes}")
        if self.feature_width % self.heads:
            raise ModelError(f"{self.feature_width} channels do not divide by {self.heads} heads")
        if self.joints != JOINTS:
            raise ModelError(f"this generator has {self.joints} joints a pose; dptn has {JOINTS}")

    @property
    def feature_width(self) -> int:
        """Channels of the features that the transformer works on."""
        return 4 * self.width

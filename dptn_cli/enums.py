"""The choices that the command line and the library share.

They are here, without NumPy, so that `dptn --help` can show them at once.
"""

from enum import StrEnum


class Status(StrEnum):
    """The end of an item: generated, skipped or failed."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class FramingWarning(StrEnum):
    """The reasons why a result may look wrong, because of how its person or pose is framed."""

    SOURCE_LYING = "the source person is lying"
    TARGET_LYING = "the target person is lying"
    SOURCE_UPSIDE_DOWN = "the source person is upside down"
    TARGET_UPSIDE_DOWN = "the target person is upside down"
    SOURCE_SMALL = "the source person is less than 64 pixels tall"
    SOURCE_FILLED = "more than a quarter of the source's crop is outside the image"
    NO_LEGS = "the pose shows legs or feet, and the source image does not"
    NO_ARMS = "the pose shows arms, and the source image does not"
    NO_FACE = "the pose shows a face, and the source image does not"
    POSE_WITHOUT_LEGS = "the source image shows legs, and the pose does not"


class Fit(StrEnum):
    """The ways to bring an image of any size to the model's size."""

    AUTO = "auto"
    STRETCH = "stretch"
    PAD = "pad"
    PERSON = "person"


class Retarget(StrEnum):
    """Whether target poses are fitted to the source person's size, build and ground line."""

    NONE = "none"
    SCALE = "scale"


class Provider(StrEnum):
    """What runs a model: OpenVINO, or one of onnxruntime's execution providers.

    `AUTO` takes CUDA if it works, else OpenVINO if it is installed, else onnxruntime's CPU.
    """

    AUTO = "auto"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    CPU = "cpu"


class Arithmetic(StrEnum):
    """The arithmetic that a model is run in.

    `MODEL` is what its file says: fp32, fp16 or int8. `AUTO` takes bf16 where it is fast and its
    images are close to the model's.
    """

    MODEL = "model"
    BF16 = "bf16"
    AUTO = "auto"


class ImageFormat(StrEnum):
    """The file format of results."""

    PNG = "png"
    JPG = "jpg"


class PoseFormat(StrEnum):
    """The formats of pose files."""

    CSV = "csv"
    COCO = "coco"
    COCO_RESULTS = "coco-results"
    OPENPOSE = "openpose"
    OPENPIFPAF = "openpifpaf"

    @property
    def per_image(self) -> bool:
        """Whether the format is a folder with one file per image."""
        return self in (PoseFormat.OPENPOSE, PoseFormat.OPENPIFPAF)


class Person(StrEnum):
    """Which person's pose is taken from an image of several people."""

    LARGEST = "largest"
    BEST = "best"
    CENTER = "center"
    ERROR = "error"


class Precision(StrEnum):
    """The arithmetic of an exported model."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Runtime(StrEnum):
    """The target of an exported graph: any ONNX runtime, or onnxruntime's CUDA kernels."""

    ANY = "any"
    CUDA = "cuda"


class TrainPrecision(StrEnum):
    """The arithmetic of the networks in training. Weights and losses stay float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Protocol(StrEnum):
    """A set of rules for measuring."""

    PAPER = "paper"
    STANDARD = "standard"


class SplitBy(StrEnum):
    """What the results of one folder are told apart by."""

    MODEL = "model"
    FORMAT = "format"


class ProtocolChoice(StrEnum):
    """The protocols of an evaluation."""

    PAPER = "paper"
    STANDARD = "standard"
    ALL = "all"

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The chosen protocols."""
        return tuple(Protocol) if self == ProtocolChoice.ALL else (Protocol(self.value),)


class Dataset(StrEnum):
    """The data sets with published results. A model may be trained on others."""

    FASHION = "fashion"
    MARKET = "market"


class ReportFormat(StrEnum):
    """The formats in which `dptn evaluate` prints scores."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"

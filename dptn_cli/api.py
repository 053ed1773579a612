"""The library: what the commands do, from Python.

    from dptn_cli import PoseTransfer, read_poses

Everything here runs the same code as the commands. Errors are those of `dptn_cli.errors`.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.detect import AUTO
from dptn_cli.detect.people import MIN_JOINTS
from dptn_cli.distributed.executors import open_run
from dptn_cli.enums import (
    Arithmetic,
    Dataset,
    Fit,
    ImageFormat,
    Person,
    PoseFormat,
    ProtocolChoice,
    Provider,
    Retarget,
)
from dptn_cli.errors import InputError, RunStopped
from dptn_cli.inference.arithmetic import SettlingSession
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.io.images import PUBLISHED_JPEG_QUALITY, read_crop, read_image_size
from dptn_cli.io.paths import parse_location
from dptn_cli.io.resize import crop_and_resize
from dptn_cli.keypoints import PoseFiles
from dptn_cli.transfer.framing import frame_source, frame_target
from dptn_cli.transfer.infer import infer_targets
from dptn_cli.transfer.plan import TransferRequest, make_job, with_poses
from dptn_cli.transfer.run import FailureLimit, RunOptions
from dptn_cli.types import JOINTS, MISSING, Crop, ImageU8, Job, Model, Outcome, Pose, Size

if TYPE_CHECKING:
    from dptn_cli.detect.log import DetectionOutcome
    from dptn_cli.evaluate.types import Report

Location: TypeAlias = str | Path
"""A path, or a URL such as `s3://bucket/folder`."""

BATCH_SIZE = 8


def read_poses(*paths: Location) -> dict[str, Pose]:
    """Read pose files: annotation CSVs, and the JSON of COCO, OpenPose, mmpose and other tools.

    Args:
        *paths: pose files and folders of pose files.

    Returns:
        By image name, relative and with forward slashes, the pose (18, 2) as (y, x) in pixels of
        that image, in OpenPose's joint order; -1 for a missing joint. If there are several people
        in an image, the pose is that of the largest one.

    Raises:
        InputError: a file cannot be read or is not a pose file.
    """
    files = PoseFiles(*map(_location, paths))
    poses = {}
    for name in files.names():
        found = files.find(name)
        if found is not None:
            poses[name] = found.pose
    return poses


class PoseTransfer:
    """A model, ready to generate images of people in other poses.

    Args:
        model: an ONNX file of `dptn export`.
        provider: where to run: `auto` (CUDA if it works, else OpenVINO if it is installed, else
            onnxruntime on the CPU), `cuda`, `tensorrt`, `openvino` or `cpu`.
        arithmetic: `model` (as the file says), `bf16`, or `auto` (bf16 if the processor has it and
            its images are close enough), as in `dptn transfer --arithmetic`. The images of the
            first batch decide.

    Attributes:
        model: the metadata of the ONNX file.
        provider: where the session really runs.
        arithmetic_psnr_db: PSNR of the images in bf16 against the model's own; None if they are
            in the model's own arithmetic, or there are none yet.

    Raises:
        ModelError: the file cannot be loaded, or the provider named is unavailable.
    """

    def __init__(
        self,
        model: Location,
        provider: str | Provider = Provider.AUTO,
        *,
        arithmetic: str | Arithmetic = Arithmetic.MODEL,
    ) -> None:
        self._session = Session(read_model(Path(model)), Provider(provider))
        self._arithmetic = Arithmetic(arithmetic)
        self._settling = SettlingSession(self._session, self._arithmetic)

    @property
    def model(self) -> Model:
        """The metadata of the ONNX file."""
        return self._session.model

    @property
    def provider(self) -> Provider:
        """Where the session really runs, never `auto`."""
        return self._session.provider

    @property
    def arithmetic_psnr_db(self) -> float | None:
        """PSNR of the images against those in the model's own arithmetic, if they differ."""
        settled = self._settling.settled
        return settled.psnr_db if settled else None

    def __call__(
        self,
        image: Location | Image.Image | ImageU8,
        source_pose: npt.ArrayLike,
        target_poses: Sequence[npt.ArrayLike] | npt.NDArray[np.floating],
        *,
        fit: str | Fit = Fit.AUTO,
        retarget: str | Retarget = Retarget.SCALE,
        target_size: Size | None = None,
    ) -> list[Image.Image]:
        """Show the person of an image in other poses.

        Args:
            image: a file, an RGB image of Pillow, or (H, W, 3) uint8 RGB.
            source_pose: (18, 2) as (y, x), pixels of the image; -1 for a missing joint.
            target_poses: N poses, each (18, 2) as (y, x); -1 for a missing joint.
            fit: how images of other sizes are brought to the model's size: `auto`, `stretch`,
                `pad` or `person`, as in `dptn transfer --fit`.
            retarget: `scale` fits each pose to the person's size, build and ground line, so that
                poses of anybody can be given; `none` takes them as they are.
            target_size: (height, width) of the images that the target poses are from, pixels.
                With `retarget="none"` it frames the poses; None for the model's size.

        Returns:
            N images at the model's size on disk, in the order of the poses.

        Raises:
            InputError: the image cannot be read, or a pose has no joint in its image.
            ModelError: the inference failed, or the images in bf16 are too far from the model's.
        """
        spec = self.model.spec
        size, crop_to = _open_image(image)
        source = frame_source(_to_pose(source_pose), size, spec, Fit(fit))
        targets = [
            frame_target(_to_pose(pose), target_size, source, spec, Fit(fit), Retarget(retarget))
            for pose in target_poses
        ]
        cropped = crop_to(source.crop, spec.network_size)
        images: list[ImageU8] = []
        for start in range(0, len(targets), BATCH_SIZE):
            batch = targets[start : start + BATCH_SIZE]
            images += infer_targets(self._settling, cropped, source, batch, spec.image_size)
        return [Image.fromarray(image_u8) for image_u8 in images]

    def transfer(
        self,
        pairs: Location | None = None,
        *,
        out: Location,
        images: Location | None = None,
        sources: Sequence[Location] = (),
        poses: Sequence[Location] = (),
        keypoints: Sequence[Location] = (),
        fit: str | Fit = Fit.AUTO,
        retarget: str | Retarget | None = None,
        result_format: str | ImageFormat = ImageFormat.PNG,
        quality: int = PUBLISHED_JPEG_QUALITY,
        limit: int | None = None,
        shard: int | None = None,
        detector: str = AUTO,
        batch_size: int | None = None,
        workers: int = 0,
        overwrite: bool = False,
        skip_bad_rows: bool = False,
        retry_failed: bool = False,
        max_failures: int | None = None,
        prune: bool = False,
    ) -> Generator[Outcome]:
        """Run a whole job, as `dptn transfer` does: checked first, resumable, with a manifest.

        The call checks the job and detects missing poses. Images are generated as you iterate. To
        resume a job that you stopped, call this again with the same arguments.

        Args:
            pairs: a pair list; or else `sources` with `poses`.
            out: the results folder.
            images: folder of the pair list's images; None for the list's own folder.
            sources: images and folders of images.
            poses: images, pose files and folders; every source is shown in every one of them.
            keypoints: pose files and folders of pose files for all images.
            fit: how images of other sizes are brought to the model's size: `auto`, `stretch`,
                `pad` or `person`.
            retarget: `scale` or `none`; None for `scale` with `poses`, else `none`.
            result_format: `png` or `jpg`.
            quality: JPEG quality, 1 to 100.
            limit: number of items, from the first one on; None for all.
            shard: number of items in each numbered subfolder of results; None for no subfolders.
            detector: what looks at images without keypoints: `movenet`, which is built in,
                `openpifpaf`, or a checkpoint of openpifpaf, a file or a published name. `auto`
                takes openpifpaf if it is installed with a checkpoint, else MoveNet.
            batch_size: maximum number of targets in one inference; None to measure the best one.
            workers: number of threads that read, decode, encode and write; 0 to choose.
            overwrite: whether to generate everything again.
            skip_bad_rows: whether rows that cannot be used only fail, instead of raising.
            retry_failed: whether to try items again that failed before with the same inputs.
            max_failures: the job stops when more items than this have failed anew; None for no
                limit.
            prune: whether to remove the results of earlier lists at the end.

        Returns:
            One outcome for each item, in the order in which they end.

        Raises:
            InputError: the lists cannot be used; while you iterate, another run holds the results
                folder, or the records cannot be written.
            RunStopped: while you iterate, the job cannot go on: the disk is full, for instance.
            MissingDependency: `detector` needs openpifpaf, which is not installed.
        """
        request = TransferRequest(
            out=_location(out),
            pairs=None if pairs is None else _location(pairs),
            images=None if images is None else _location(images),
            sources=tuple(map(_location, sources)),
            poses=tuple(map(_location, poses)),
            keypoints=tuple(map(_location, keypoints)),
            result_format=ImageFormat(result_format),
            jpeg_quality=quality,
            limit=limit,
            shard=shard,
            skip_bad_rows=skip_bad_rows,
            fit=Fit(fit),
            retarget=None if retarget is None else Retarget(retarget),
        )
        job = make_job(request, self.model)
        if job.missing_pose:
            from dptn_cli.transfer.detection import find_missing_poses

            found = find_missing_poses(
                job, detector, retry_failed=retry_failed or overwrite, provider=self.provider
            )
            job = with_poses(job, found.poses, found.detectors)
        options = RunOptions(
            self.provider,
            self._arithmetic,
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            retry_failed=retry_failed,
            max_failures=None if max_failures is None else FailureLimit(max_failures),
            prune=prune,
        )
        return self._run(job, options)

    def _run(self, job: Job, options: RunOptions) -> Generator[Outcome]:
        given_up = False
        with open_run(job, options, session=self._session, stop=lambda: given_up) as run:
            try:
                yield from run.outcomes()
            except GeneratorExit:  # the caller does not want the rest
                given_up = True
                run.finish()
                raise
            run.finish()
            if run.stop_reason:
                raise RunStopped(run.stop_reason)
            if run.problems:
                raise InputError(run.problems[0])


def detect_poses(
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    pose_format: str | PoseFormat = PoseFormat.CSV,
    detector: str = AUTO,
    person: str | Person = Person.LARGEST,
    min_joints: int = MIN_JOINTS,
    threshold: float | None = None,
    batch_size: int = 8,
    download_weights: bool = False,
) -> "Generator[DetectionOutcome]":
    """Detect people's poses in images, as `dptn detect-poses` does.

    The images are listed and the network is loaded at once. The images are processed as the
    returned iterator is consumed.

    Args:
        images: images, folders of images and patterns.
        out: the pose file to write after the last image; calling this again resumes the job. None
            to write nothing.
        pose_format: format of the pose file: `csv`, `coco`, `coco-results`, `openpose` or
            `openpifpaf`.
        detector: as in `PoseTransfer.transfer`. If you name one, poses that another detector
            found earlier are detected again.
        person: the person whose pose is taken if there are several: `largest`, `best`, `center`,
            or `error` to take none.
        min_joints: people with fewer joints are ignored.
        threshold: joints with a lower confidence, 0 to 1, count as missing; None for the
            detector's own: 0.25 of MoveNet, 0.15 of openpifpaf.
        batch_size: maximum number of images in one inference of openpifpaf.
        download_weights: whether to download a published checkpoint that is missing.

    Returns:
        One outcome per image, in no fixed order, with the pose or the reason why there is none.

    Raises:
        InputError: there are no images, the checkpoint is missing, or `out` cannot be used.
        MissingDependency: `detector` needs openpifpaf, which is not installed.
        ModelError: the checkpoint cannot be used.
    """
    from dptn_cli.detect import PersonChoice, select_detector
    from dptn_cli.detect.job import DetectionRequest, detect_images, list_images, plan_job, run_job

    named = (images,) if isinstance(images, str | Path) else images
    paths = tuple(map(Path, named))
    choice = PersonChoice(Person(person), min_joints, threshold)
    request = None
    if out is not None:
        request = DetectionRequest(
            paths, Path(out), PoseFormat(pose_format), choice, any_detector=detector == AUTO
        )
    files = list_images(paths) if request is None else plan_job(request)
    selected = select_detector(detector, download_weights=download_weights, option="detector")
    selected.require(download_weights=download_weights)
    loaded = selected.load(choice, batch_size=batch_size)
    outcomes = detect_images(files, loaded) if request is None else run_job(request, files, loaded)
    return (outcome for outcome in outcomes)


def evaluate_results(
    results: str | Path,
    *,
    truth: str | Path | None = None,
    pairs: str | Path | None = None,
    names: str | None = None,
    all_lists: bool = False,
    real: str | Path | None = None,
    dataset: str | Dataset | None = None,
    protocol: str | ProtocolChoice = ProtocolChoice.ALL,
    drop_last: bool = False,
    require: Sequence[str] = (),
    batch_size: int = 32,
    workers: int = 0,
    download_weights: bool = False,
) -> "Report":
    """Score a results folder, as `dptn evaluate` does.

    Args:
        results: the results folder.
        truth: folder of the true images; None for the one that `run.json` names.
        pairs: pair list of the results; None for the manifest.
        names: how the results are named, as in `{source}_to_{target}.png`, or the name of a
            system, such as `cfld`.
        all_lists: whether to score the results of earlier lists too.
        real: folder of the reference images of FID and KID, or a `.npz` with their statistics for
            the standard FID; None to compute neither.
        dataset: `fashion` or `market`; None for the one in `run.json`.
        protocol: `paper`, `standard` or `all`.
        drop_last: whether to drop an incomplete last batch from the paper's FID, as published.
        require: metrics that must be computed, such as `fid` or `paper.fid`.
        batch_size: images per batch of a learned metric.
        workers: processes that score pixels; 0 for one per core.
        download_weights: whether to download missing weights into torch.hub's cache.

    Returns:
        The scores by metric id, with intervals, the scores of each pair, and what could not be
        computed or scored.

    Raises:
        InputError: the folders cannot be used, or a required metric cannot be computed.
        MissingDependency: scikit-image is not installed.
    """
    from dptn_cli.evaluate.folders import evaluate_folders
    from dptn_cli.evaluate.pairing import Naming
    from dptn_cli.evaluate.plan import EvalRequest
    from dptn_cli.evaluate.result_names import parse_template
    from dptn_cli.evaluate.types import EvalOptions

    request = EvalRequest(
        Path(results),
        truth=None if truth is None else Path(truth),
        reference=None if real is None else Path(real),
        protocols=ProtocolChoice(protocol).protocols,
        dataset=None if dataset is None else Dataset(dataset),
        drop_last=drop_last,
        require=tuple(require),
        naming=Naming(
            None if pairs is None else Path(pairs), None if names is None else parse_template(names)
        ),
        all_lists=all_lists,
    )
    options = EvalOptions(batch_size, workers, download_weights)
    (report,) = evaluate_folders([request], options).reports
    return report


def _location(location: Location) -> Path:
    return parse_location(location) if isinstance(location, str) else location


def _open_image(
    image: Location | Image.Image | ImageU8,
) -> tuple[Size, Callable[[Crop | None, Size], ImageU8]]:
    """Return an image's (height, width), and what crops it to a (height, width), in pixels."""
    if isinstance(image, str | Path):
        path = _location(image)
        return read_image_size(path), partial(read_crop, path)
    image_u8 = _to_array(image)
    height, width = image_u8.shape[:2]
    return (height, width), partial(crop_and_resize, Image.fromarray(image_u8))


def _to_array(image: Image.Image | ImageU8) -> ImageU8:
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"an image must be (H, W, 3) uint8, and is {image.shape} {image.dtype}")
    return image


def _to_pose(pose: npt.ArrayLike) -> Pose:
    array = np.array(pose, dtype=np.float64)
    if array.shape != (JOINTS, 2) or not np.isfinite(array).all():
        raise InputError(f"a pose must be ({JOINTS}, 2) finite numbers, and is {array.shape}")
    # A joint is missing if either coordinate is.
    array[(array == MISSING).any(axis=1)] = MISSING
    return array


__all__ = ["Location", "PoseTransfer", "detect_poses", "evaluate_results", "read_poses"]

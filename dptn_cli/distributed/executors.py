"""Opening a run of a job: in this process, in one process for each GPU, or on a Ray cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.inference.arithmetic import Settled, settle
from dptn_cli.inference.batch_size import DEFAULT_BATCH_SIZE, best_batch_size
from dptn_cli.inference.session import Session
from dptn_cli.io.files import make_folder
from dptn_cli.transfer import pipeline
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.run import Executor, RunOptions, TransferRun, default_workers
from dptn_cli.types import Job

TRIED_IMAGES = 4  # on which another arithmetic is compared with the model's own
TRIED_CHUNKS = 64  # that are read in search of them


@contextmanager
def open_run(
    job: Job,
    options: RunOptions,
    *,
    session: Session | None = None,
    stop: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda message: None,
) -> Iterator[TransferRun]:
    """Open what runs a job, and lock its results folder, while the context is entered.

    Args:
        job: as `transfer.plan.make_job` returns it.
        options: how the job is run.
        session: an open session of the job's model, for a run in this process; None to open one.
        stop: returns whether to stop; called between batches.
        notify: receives messages that the user should see at once, one line each.

    Raises:
        InputError: another run holds the results folder, or no worker can be started.
        ModelError: the model cannot be loaded, or the provider named is unavailable.
        MissingDependency: Ray is asked for and is not installed.
    """
    workers = options.workers or default_workers(remote=job.remote)
    open_executor = _ray_executor if options.ray_address else _process_executor
    if not options.ray_address and not options.devices:
        # Opened before the results folder is created: a model that cannot run leaves nothing.
        session = session or open_session(job, options, notify)
        job, settled = _settle(job, session, options, notify)
        session = settled.session
        batch_size = options.batch_size or best_batch_size(session, job)
        local = Executor(
            partial(pipeline.run, job, session),
            session.provider,
            batch_size,
            session.streams,
            settled.psnr_db,
        )
        make_folder(job.out)
        with _open_manifest(job, notify) as manifest:
            yield TransferRun(job, local, manifest, workers, options, stop, notify)
        return
    psnr_db = None
    if options.arithmetic is not Arithmetic.MODEL:
        # Decided once, here: a worker's own choice would change the images of its share.
        reference = _open_like_workers(job, options, notify)
        job, settled = _settle(job, reference, options, notify)
        psnr_db = settled.psnr_db
    make_folder(job.out)
    with (
        # Locked before workers start: a second run of the job must not start its own.
        _open_manifest(job, notify) as manifest,
        open_executor(job, options, notify) as executor,
    ):
        executor = replace(executor, arithmetic_psnr_db=psnr_db)
        yield TransferRun(job, executor, manifest, workers, options, stop, notify)


def _open_manifest(job: Job, notify: Callable[[str], None]) -> Manifest:
    manifest = Manifest(job.out, job.model.sha256)
    if manifest.lock.note:
        notify(manifest.lock.note)
    return manifest


def open_session(job: Job, options: RunOptions, notify: Callable[[str], None]) -> Session:
    """Open a session of a job's model, and notify the user if it falls back to the CPU.

    Raises:
        ModelError: the model cannot be loaded, or the provider named is unavailable.
    """
    session = Session(job.model, options.provider)
    if note := session.note(options.arithmetic):
        notify(note)
    return session


def as_it_would_run(job: Job, options: RunOptions, notify: Callable[[str], None]) -> Job:
    """Return a job in the arithmetic that a run with these options would decide on.

    Raises:
        ModelError: bf16 was asked for by name and cannot be had, or its images differ too much.
    """
    if options.arithmetic is Arithmetic.MODEL:
        return job
    return _settle(job, _open_like_workers(job, options, notify), options, notify)[0]


def _settle(
    job: Job, session: Session, options: RunOptions, notify: Callable[[str], None]
) -> tuple[Job, Settled]:
    """Decide the arithmetic of a job by its first images, and notify the user.

    Args:
        job: the job.
        session: a session of its model in the model's own arithmetic.
        options: how the job is run.
        notify: receives what was decided, one line.

    Returns:
        The job in that arithmetic, and the session.

    Raises:
        ModelError: bf16 was asked for by name and cannot be had, or its images differ too much.
    """
    is_own = options.arithmetic is Arithmetic.MODEL
    batch = None if is_own else next(pipeline.first_batches(job, TRIED_IMAGES, TRIED_CHUNKS), None)
    settled = settle(session, options.arithmetic, batch)
    if settled.note:
        notify(settled.note)
    return replace(job, arithmetic=settled.session.arithmetic), settled


def _open_like_workers(job: Job, options: RunOptions, notify: Callable[[str], None]) -> Session:
    """Open a session in this process where the workers of a run would open theirs."""
    if options.devices:
        return Session(job.model, _provider_of_devices(options), device=options.devices[0])
    if options.ray_address and options.provider is Provider.AUTO:
        raise InputError("--arithmetic with --ray needs the provider's name: --provider openvino")
    return open_session(job, options, notify)


def _provider_of_devices(options: RunOptions) -> Provider:
    # Devices are GPUs, so falling back to the CPU would not be what was asked for.
    return Provider.CUDA if options.provider is Provider.AUTO else options.provider


@contextmanager
def _ray_executor(
    job: Job, options: RunOptions, notify: Callable[[str], None]
) -> Iterator[Executor]:
    try:
        from dptn_cli.distributed.ray_pool import RayPool
    except ImportError as error:
        raise MissingDependency("--ray", "ray", "pip install 'dptn-cli[ray]'") from error
    assert options.ray_address is not None
    with RayPool(
        job,
        options.ray_address,
        options.provider,
        overwrite=options.overwrite,
        retry_failed=options.retry_failed,
    ) as pool:
        ready, planned = pool.ready_count, len(pool.workers)
        count = f"{ready}" if ready == planned else f"{ready} of {planned}"
        notify(f"{count} actors on Ray, {pool.provider}.")
        if pool.problem:
            notify(f"Some actors cannot work: {pool.problem}")
        yield Executor(pool.run, pool.provider, options.batch_size or DEFAULT_BATCH_SIZE)


@contextmanager
def _process_executor(
    job: Job, options: RunOptions, notify: Callable[[str], None]
) -> Iterator[Executor]:
    from dptn_cli.distributed.process_pool import ProcessPool

    with ProcessPool(
        job,
        options.devices,
        _provider_of_devices(options),
        overwrite=options.overwrite,
        retry_failed=options.retry_failed,
    ) as pool:
        notify(f"{len(options.devices)} processes, {pool.provider}.")
        yield Executor(pool.run, pool.provider, options.batch_size or DEFAULT_BATCH_SIZE)

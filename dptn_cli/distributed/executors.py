"""Opening a run of a job: in this process, in one process for each GPU, or on a Ray cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from dptn_cli.enums import Provider
from dptn_cli.errors import MissingDependency
from dptn_cli.inference.batch_size import DEFAULT_BATCH_SIZE, best_batch_size
from dptn_cli.inference.session import Session
from dptn_cli.io.files import make_folder
from dptn_cli.transfer import pipeline
from dptn_cli.transfer.manifest import Manifest
from dptn_cli.transfer.run import Executor, RunOptions, TransferRun, default_workers
from dptn_cli.types import Job


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
        session = session or open_session(job, options.provider, notify)
        batch_size = options.batch_size or best_batch_size(session, job)
        local = Executor(
            partial(pipeline.run, job, session), session.provider, batch_size, session.streams
        )
        make_folder(job.out)
        with _open_manifest(job, notify) as manifest:
            yield TransferRun(job, local, manifest, workers, options, stop, notify)
        return
    make_folder(job.out)
    with (
        # Locked before workers start: a second run of the job must not start its own.
        _open_manifest(job, notify) as manifest,
        open_executor(job, options, notify) as executor,
    ):
        yield TransferRun(job, executor, manifest, workers, options, stop, notify)


def _open_manifest(job: Job, notify: Callable[[str], None]) -> Manifest:
    manifest = Manifest(job.out, job.model.sha256)
    if manifest.lock.note:
        notify(manifest.lock.note)
    return manifest


def open_session(job: Job, provider: Provider, notify: Callable[[str], None]) -> Session:
    """Open a session of a job's model, and notify the user if it falls back to the CPU.

    Raises:
        ModelError: the model cannot be loaded, or the provider named is unavailable.
    """
    session = Session(job.model, provider)
    if session.fallback:
        notify(f"Running on the CPU: {session.fallback}.")
    return session


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

    # Devices are GPUs, so falling back to the CPU would not be what was asked for.
    provider = Provider.CUDA if options.provider is Provider.AUTO else options.provider
    with ProcessPool(
        job,
        options.devices,
        provider,
        overwrite=options.overwrite,
        retry_failed=options.retry_failed,
    ) as pool:
        notify(f"{len(options.devices)} processes, {pool.provider}.")
        yield Executor(pool.run, pool.provider, options.batch_size or DEFAULT_BATCH_SIZE)

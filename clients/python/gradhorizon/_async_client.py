"""The asynchronous client: the same requests and answers, sent without blocking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from ._base import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    BaseClient,
    Call,
    Checkpoint,
    Json,
    own_base_url,
    read_answer,
)
from ._exceptions import ConnectionFailed, NotUnderstood, ServerFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType

    from ._charts import Picture
    from ._reports import (
        CheckpointComparison,
        CheckpointDiagnosis,
        Claim,
        Claims,
        Clippings,
        Comparison,
        Descent,
        Diagnosis,
        MeanField,
        Spectrum,
    )
    from ._uploads import Source, Upload
    from .schemas import (
        Artifact,
        Catalog,
        CheckpointComparisonRequest,
        CheckpointDiagnosisRequest,
        Clipping,
        ClippingsRequest,
        ComparisonRequest,
        DescentRequest,
        DiagnosisRequest,
        DiagnosticName,
        InitialState,
        Inputs,
        LayerOverride,
        Loss,
        MeanFieldRequest,
        Network,
        SpectrumRequest,
    )
    from .schemas.checkpoints import OrthogonalMap
    from .schemas.descents import DescentOptimizer, DescentTask, TrainedCell
    from .schemas.diagnoses import Dtype
    from .schemas.mean_fields import CriticalLineRequest
    from .schemas.networks import ActivationName

Report = TypeVar("Report")


class AsyncClient(BaseClient):
    """`Client` with `await`, on asyncio and on trio; an asynchronous context manager.

    Arguments are those of `Client`; `http_client` is an `httpx.AsyncClient`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        timeout: float | httpx.Timeout | None = None,
        retries: int = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            base_url or own_base_url(http_client) or DEFAULT_URL, retries=retries, headers=headers
        )
        self._owned = http_client is None
        self._http = http_client or httpx.AsyncClient(timeout=DEFAULT_TIMEOUT)
        self._timeout = httpx.USE_CLIENT_DEFAULT if timeout is None else timeout

    @classmethod
    def in_process(cls, **limits: Any) -> AsyncClient:
        """Return a client that computes in this process, without a server; needs the extra `service`.

        `limits` are the service's, by their names in the catalog: `AsyncClient.in_process(max_size=4096)`. Raises
        ServiceMissing where a package of the extra is not installed.
        """
        from ._in_process import AsyncInProcessClient

        return AsyncInProcessClient(**limits)

    async def diagnose(
        self,
        request: DiagnosisRequest | Json | None = None,
        /,
        *,
        network: Network | Json | None = None,
        depth: int | None = None,
        burn_in: int | None = None,
        inputs: Inputs | Json | None = None,
        initial_state: InitialState | Json | None = None,
        loss: Loss | Json | None = None,
        clipping: Clipping | Json | None = None,
        dtype: Dtype | None = None,
        diagnostics: Sequence[DiagnosticName] | None = None,
        leading: int | None = None,
        include: Sequence[str] | None = None,
        horizon_level: float | None = None,
        tolerance_decades: float | None = None,
        max_points: int | None = None,
        lags: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> Diagnosis:
        """Ask how far back the gradient reaches in a network.

        The fields are those of `DiagnosisRequest`, as schema models or as plain mappings; NumPy arrays, nested lists
        and tensors of any framework may stand wherever numbers do. What is not given is left to the service. A whole
        request may come first; fields beside it then replace its own.

            await gh.diagnose(network={"cell": "rnn", "activation": "tanh", "weights": W}, depth=200)
        """
        return await self._send(
            self._diagnosis(
                request,
                network=network,
                depth=depth,
                burn_in=burn_in,
                inputs=inputs,
                initial_state=initial_state,
                loss=loss,
                clipping=clipping,
                dtype=dtype,
                diagnostics=diagnostics,
                leading=leading,
                include=include,
                horizon_level=horizon_level,
                tolerance_decades=tolerance_decades,
                max_points=max_points,
                lags=lags,
                seed=seed,
            )
        )

    async def compare(
        self,
        request: ComparisonRequest | Json | None = None,
        /,
        *,
        networks: Mapping[str, Network | Json] | Sequence[Network | Json] | None = None,
        network: Network | Json | None = None,
        policies: Mapping[str, Clipping | Json] | Sequence[Clipping | Json] | None = None,
        depth: int | None = None,
        burn_in: int | None = None,
        inputs: Inputs | Json | None = None,
        initial_state: InitialState | Json | None = None,
        loss: Loss | Json | None = None,
        dtype: Dtype | None = None,
        diagnostics: Sequence[DiagnosticName] | None = None,
        leading: int | None = None,
        include: Sequence[str] | None = None,
        horizon_level: float | None = None,
        tolerance_decades: float | None = None,
        max_points: int | None = None,
        lags: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> Comparison:
        """Ask which of several networks, or clipping policies, carries the gradient farthest on the same inputs.

        await gh.compare(networks={"plain": {"cell": "rnn", "weights": W}, "orthogonal": {...}}, depth=200)
        """
        return await self._send(
            self._comparison(
                request,
                networks=networks,
                network=network,
                policies=policies,
                depth=depth,
                burn_in=burn_in,
                inputs=inputs,
                initial_state=initial_state,
                loss=loss,
                dtype=dtype,
                diagnostics=diagnostics,
                leading=leading,
                include=include,
                horizon_level=horizon_level,
                tolerance_decades=tolerance_decades,
                max_points=max_points,
                lags=lags,
                seed=seed,
            )
        )

    async def spectrum(
        self,
        source: SpectrumRequest | Any,
        *,
        depth: int | None = None,
        include_matrix: bool | None = None,
        seed: int | None = None,
    ) -> Spectrum:
        """Ask for the spectrum and the non-normality of one matrix: an array, a source, or a whole request."""
        return await self._send(self._spectrum(source, depth=depth, include_matrix=include_matrix, seed=seed))

    async def clippings(
        self,
        request: ClippingsRequest | Json | None = None,
        /,
        *,
        gradients: Mapping[str, Any] | None = None,
        norms: Any = None,
        policies: Sequence[Clipping | Json] | None = None,
        dtype: Dtype | None = None,
        include: Sequence[str] | None = None,
        max_points: int | None = None,
    ) -> Clippings:
        """Ask what clipping policies make of gradients or of a history of their norms, and which threshold to use.

        NaN and infinities are welcome: what a framework makes of them is the question.

            await gh.clippings(norms=history, policies=[{"kind": "norm", "threshold": 1.0, "framework": "optax"}])
        """
        return await self._send(
            self._clippings(
                request,
                gradients=gradients,
                norms=norms,
                policies=policies,
                dtype=dtype,
                include=include,
                max_points=max_points,
            )
        )

    async def descend(
        self,
        request: DescentRequest | Json | None = None,
        /,
        *,
        task: DescentTask | Json | None = None,
        cell: TrainedCell | Json | None = None,
        optimizer: DescentOptimizer | Json | None = None,
        policies: Mapping[str, Clipping | Json] | Sequence[Clipping | Json] | None = None,
        steps: int | None = None,
        seeds: int | Sequence[int] | None = None,
        batch_size: int | None = None,
        test_size: int | None = None,
        data: str | None = None,
        dtype: str | None = None,
        curvature_points: int | None = None,
        include: Sequence[str] | None = None,
        max_points: int | None = None,
        seed: int | None = None,
    ) -> Descent:
        """Descend on a small task with several seeds and clipping policies, and see where an update undid progress.

        The fields are those of `DescentRequest`; a whole request may come first.

            await gh.descend(task={"kind": "latch", "length": 30}, cell={"kind": "lstm"}, optimizer={"kind": "adam"})
        """
        return await self._send(
            self._descent(
                request,
                task=task,
                cell=cell,
                optimizer=optimizer,
                policies=policies,
                steps=steps,
                seeds=seeds,
                batch_size=batch_size,
                test_size=test_size,
                data=data,
                dtype=dtype,
                curvature_points=curvature_points,
                include=include,
                max_points=max_points,
                seed=seed,
            )
        )

    async def mean_field(
        self,
        request: MeanFieldRequest | Json | None = None,
        /,
        *,
        weight_variance: float | None = None,
        bias_variance: float | None = None,
        activation: ActivationName | None = None,
        negative_slope: float | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        critical_line: CriticalLineRequest | Json | None = None,
        size: int | None = None,
        leading: int | None = None,
    ) -> MeanField:
        """Ask for the theory of wide random networks: their phase, depth scales and critical variance.

        The fields are those of `MeanFieldRequest`; a whole request may come first.

            await gh.mean_field(activation="tanh", weight_variance=1.5, bias_variance=0.05)
        """
        return await self._send(
            self._mean_field(
                request,
                weight_variance=weight_variance,
                bias_variance=bias_variance,
                activation=activation,
                negative_slope=negative_slope,
                alpha=alpha,
                beta=beta,
                critical_line=critical_line,
                size=size,
                leading=leading,
            )
        )

    async def upload(self, source: Source, *, name: str | None = None) -> Artifact:
        """Store a checkpoint or tensors once; requests then refer to them by hash.

        `source` is a path, bytes or an open binary file, in any format that the service reads; a file is sent a piece
        at a time. `name` is a label, the file's name unless given. The same content is stored once.

            model = await gh.upload("model.safetensors")
            await gh.diagnose(network={"cell": "rnn", "weights": model.reference("rnn.weight_hh_l0")}, depth=200)
        """
        return await self._send(self._upload(source, name))

    async def artifact(self, sha256: str) -> Artifact:
        """Ask what is in an artifact; raises NotFound where it is not there (any more)."""
        return await self._send(self._artifact(sha256))

    async def delete_artifact(self, sha256: str) -> None:
        """Remove an artifact; raises NotFound where it is not there. Never tries again."""
        await self._send_once(self._deletion(sha256))

    async def diagnose_checkpoint(
        self,
        checkpoint: Checkpoint,
        request: CheckpointDiagnosisRequest | Json | None = None,
        /,
        *,
        depth: int | None = None,
        burn_in: int | None = None,
        inputs: Inputs | Json | None = None,
        initial_state: InitialState | Json | None = None,
        loss: Loss | Json | None = None,
        clipping: Clipping | Json | None = None,
        dtype: Dtype | None = None,
        diagnostics: Sequence[DiagnosticName] | None = None,
        leading: int | None = None,
        include: Sequence[str] | None = None,
        horizon_level: float | None = None,
        tolerance_decades: float | None = None,
        max_points: int | None = None,
        lags: Sequence[int] | None = None,
        seed: int | None = None,
        only: Sequence[str] | None = None,
        layers: Mapping[str, LayerOverride | Json] | None = None,
        activation: ActivationName | None = None,
        orthogonal_map: OrthogonalMap | None = None,
    ) -> CheckpointDiagnosis:
        """Ask about every recurrent layer of a checkpoint, and what its weights give away.

        `checkpoint` is the path of a file, which is uploaded, or an artifact or its hash. The fields are those of
        `CheckpointDiagnosisRequest`; `layers` says of single layers, by name, what was recognised wrongly.

            gh.diagnose_checkpoint(Path("model.safetensors"), depth=200)
        """
        sha256 = await self._stored(checkpoint)
        return await self._send(
            self._checkpoint_diagnosis(
                sha256,
                request,
                depth=depth,
                burn_in=burn_in,
                inputs=inputs,
                initial_state=initial_state,
                loss=loss,
                clipping=clipping,
                dtype=dtype,
                diagnostics=diagnostics,
                leading=leading,
                include=include,
                horizon_level=horizon_level,
                tolerance_decades=tolerance_decades,
                max_points=max_points,
                lags=lags,
                seed=seed,
                only=only,
                layers=layers,
                activation=activation,
                orthogonal_map=orthogonal_map,
            )
        )

    async def compare_checkpoints(
        self,
        request: CheckpointComparisonRequest | Json | None = None,
        /,
        *,
        a: Checkpoint | None = None,
        b: Checkpoint | None = None,
        depth: int | None = None,
        burn_in: int | None = None,
        inputs: Inputs | Json | None = None,
        initial_state: InitialState | Json | None = None,
        loss: Loss | Json | None = None,
        dtype: Dtype | None = None,
        diagnostics: Sequence[DiagnosticName] | None = None,
        leading: int | None = None,
        include: Sequence[str] | None = None,
        horizon_level: float | None = None,
        tolerance_decades: float | None = None,
        max_points: int | None = None,
        lags: Sequence[int] | None = None,
        seed: int | None = None,
        only: Sequence[str] | None = None,
        layers: Mapping[str, LayerOverride | Json] | None = None,
        activation: ActivationName | None = None,
        orthogonal_map: OrthogonalMap | None = None,
    ) -> CheckpointComparison:
        """Ask what changed from checkpoint `a` to checkpoint `b`: per layer, and which layer moved most.

        Each is the path of a file, which is uploaded, or an artifact or its hash.

            gh.compare_checkpoints(a=Path("epoch1.pt"), b=Path("epoch9.pt"), depth=200)
        """
        return await self._send(
            self._checkpoint_comparison(
                request,
                a=None if a is None else await self._stored(a),
                b=None if b is None else await self._stored(b),
                depth=depth,
                burn_in=burn_in,
                inputs=inputs,
                initial_state=initial_state,
                loss=loss,
                dtype=dtype,
                diagnostics=diagnostics,
                leading=leading,
                include=include,
                horizon_level=horizon_level,
                tolerance_decades=tolerance_decades,
                max_points=max_points,
                lags=lags,
                seed=seed,
                only=only,
                layers=layers,
                activation=activation,
                orthogonal_map=orthogonal_map,
            )
        )

    async def _stored(self, checkpoint: Checkpoint) -> str:
        """Return the hash of a checkpoint, having uploaded a file that is only a path."""
        if isinstance(checkpoint, Path):
            return (await self.upload(checkpoint)).sha256
        return checkpoint if isinstance(checkpoint, str) else checkpoint.sha256

    async def claims(self) -> Claims:
        """Ask which claims about gradients this service judges, by which criterion, and what can be changed."""
        return await self._send(self._claims())

    async def claim(self, name: str, /, **parameters: Any) -> Claim:
        """Run one claim again and have it judged; `parameters` are those that `claims` lists for it.

        await gh.claim("depth-ten", lengths=[2, 5, 10], runs=40)
        """
        return await self._send(self._claim(name, parameters))

    async def chart(self, report: Any, kind: str | None = None, *, picture: Picture = "svg") -> bytes:
        """Ask the service for a chart of a report: an SVG, a PNG, or its Vega-Lite specification.

        `kind` is one of the charts that the catalog lists; the main one of the report unless given. The report is one
        of this client's or the JSON of one. `report.plot()` draws without asking.
        """
        return await self._send(self._chart(report, kind, picture))

    async def catalog(self) -> Catalog:
        """Ask what this service offers, and its limits."""
        return await self._send(self._catalog())

    async def health(self) -> dict[str, Any]:
        """Ask whether the service lives; raises what its absence raises."""
        return await self._send(self._health())

    async def ready(self) -> bool:
        """Return whether the service takes work now; False too where nothing answers. Never tries again."""
        try:
            await self._send_once(self._readiness())
        except (ConnectionFailed, ServerFailed, NotUnderstood):
            return False
        return True

    async def aclose(self) -> None:
        """Close the connections, unless they belong to the http client that was brought along."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[Report]) -> Report:
        async for attempt in self._attempts():
            with attempt:
                return await self._send_once(call)
        raise AssertionError("stamina ends with a result or an exception")

    def _content(self, upload: Upload) -> AsyncIterator[bytes]:
        return upload.pieces_async()

    async def _send_once(self, call: Call[Report]) -> Report:
        try:
            response = await self._http.request(**self._arguments(call), timeout=self._timeout)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise self._no_answer(error) from error
        return read_answer(response, call.report)

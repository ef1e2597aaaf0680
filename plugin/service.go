package plugin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/plugin/archive"
	"github.com/envladder/envladder/plugin/pluginpb"
	"github.com/envladder/envladder/plugin/worker"
)

// service answers the repo-server.
type service struct {
	pluginpb.UnimplementedConfigManagementPluginServiceServer
	limits   archive.Limits
	limiter  limiter
	charts   *chart.Puller
	renderer *renderer
	metrics  *metrics
	log      *slog.Logger
}

// stream is the common part of the protocol's streams.
type stream interface {
	receiver
	Context() context.Context
}

// receive waits until the request may proceed, and receives it. The caller must always call
// done after using the request.
func (s *service) receive(from stream) (request Request, done func(), err error) {
	in, err := open(from)
	if err != nil {
		return Request{}, func() {}, err
	}
	return s.unpack(from.Context(), in)
}

// unpack receives the rest of a stream whose start has been read, like receive.
func (s *service) unpack(ctx context.Context, in *incoming) (request Request, done func(), err error) {
	waited := s.metrics.phase(phaseWait)
	s.metrics.waiting.Inc()
	err = s.limiter.acquire(ctx)
	s.metrics.waiting.Dec()
	waited()
	if err != nil {
		return Request{}, func() {}, errors.Join(err, in.chunks.drain())
	}
	defer s.metrics.phase(phaseReceive)()
	request, err = in.request(s.limits)
	return request, s.limiter.release, err
}

type generateStream = grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.ManifestResponse]

// GenerateManifest renders one Application.
func (s *service) GenerateManifest(stream generateStream) error {
	start := time.Now()
	var request Request
	var manifests documents
	in, err := open(stream)
	if err == nil {
		request, manifests, err = s.answer(stream.Context(), in)
	}
	s.metrics.renders.WithLabelValues(resultOf(err)).Inc()
	log := s.log.With("app", request.AppName, "dir", request.Dir,
		"environment", request.Environment, "target", request.Target, "duration", time.Since(start))
	if err != nil {
		log.Error("generating manifests", "error", err)
		return asStatus(err)
	}
	log.Info("generated manifests", "manifests", len(manifests))
	return stream.SendAndClose(&pluginpb.ManifestResponse{Manifests: manifests})
}

// answer renders the requested environment. It doesn't unpack the archive of a request that
// is in the cache, but only verifies its checksum.
func (s *service) answer(ctx context.Context, in *incoming) (Request, documents, error) {
	key, err := in.key()
	if err == nil {
		if known, ok := s.renderer.cached(key); ok {
			defer s.metrics.phase(phaseReceive)()
			return in.parsed, known, in.verify()
		}
	}
	request, done, err := s.unpack(ctx, in)
	defer done()
	if err != nil {
		return request, nil, err
	}
	manifests, err := s.generate(ctx, &request, key)
	return request, manifests, err
}

// generate is Generate in a worker. It removes the repository from the request, so that its
// memory is free while the chart renders.
func (s *service) generate(ctx context.Context, request *Request, key string) (documents, error) {
	request.Charts = s.charts
	done := s.metrics.phase(phaseResolve)
	found, err := request.resolve(ctx)
	done()
	request.Repository = nil
	if err != nil {
		return nil, err
	}
	defer s.metrics.phase(phaseRender)()
	manifests, err := s.renderer.render(ctx, key, found.source, found.options)
	return manifests, chart.Explain(err, found.merged)
}

// CheckPluginConfiguration reports that only Applications that name the plugin use it.
func (s *service) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*pluginpb.CheckPluginConfigurationResponse, error) {
	return &pluginpb.CheckPluginConfigurationResponse{IsDiscoveryConfigured: false, ProvideGitCreds: false}, nil
}

type matchStream = grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.RepositoryResponse]

// MatchRepository reports whether the Application's folder has a ladder.
func (s *service) MatchRepository(stream matchStream) error {
	request, done, err := s.receive(stream)
	defer done()
	if err := ignoreParametersError(err); err != nil {
		return asStatus(err)
	}
	_, err = fs.Stat(request.Repository, path.Join(request.Dir, ladder.FileName))
	return stream.SendAndClose(&pluginpb.RepositoryResponse{IsSupported: err == nil})
}

type announceStream = grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.ParametersAnnouncementResponse]

// GetParametersAnnouncement returns the parameters, with the choices of this folder's ladder.
// It also does so where the Application's parameters are invalid, since they are corrected in
// the form that Argo CD builds from the answer.
func (s *service) GetParametersAnnouncement(stream announceStream) error {
	request, done, err := s.receive(stream)
	defer done()
	if err := ignoreParametersError(err); err != nil {
		return asStatus(err)
	}
	document, err := ladder.Open(request.Repository, request.Dir)
	if err != nil {
		return asStatus(err)
	}
	return stream.SendAndClose(&pluginpb.ParametersAnnouncementResponse{ParameterAnnouncements: announce(document)})
}

// asStatus returns an error with its gRPC code. Argo CD and terminals show the text.
func asStatus(err error) error {
	if broken, ok := errors.AsType[*brokenStreamError](err); ok {
		return broken.cause // it is a gRPC error
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codeOf(err), printable.Lines(worker.Shorten(err.Error())))
}

// codeOf returns the gRPC code of an error.
func codeOf(err error) codes.Code {
	var killed *worker.WorkerError
	switch {
	case errors.As(err, &killed) && killed.Reason == worker.ReasonTime:
		return codes.DeadlineExceeded
	case errors.As(err, &killed), isTooLarge(err), errors.Is(err, errLimit):
		return codes.ResourceExhausted
	default:
		return codes.InvalidArgument
	}
}

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
	turns    turns
	charts   *chart.Puller
	renderer *renderer
	metrics  *metrics
	log      *slog.Logger
}

// stream is what the protocol's streams have in common.
type stream interface {
	receiver
	Context() context.Context
}

// receive waits for the request's turn and receives it. The caller calls done in any
// case, when it is done with the request.
func (s *service) receive(from stream) (request Request, done func(), err error) {
	in, err := open(from)
	if err != nil {
		return Request{}, func() {}, err
	}
	return s.unpack(from.Context(), in)
}

// unpack is receive of a stream that has begun.
func (s *service) unpack(ctx context.Context, in *incoming) (request Request, done func(), err error) {
	waited := s.metrics.phase(phaseWait)
	s.metrics.waiting.Inc()
	err = s.turns.take(ctx)
	s.metrics.waiting.Dec()
	waited()
	if err != nil {
		return Request{}, func() {}, errors.Join(err, in.chunks.drain())
	}
	defer s.metrics.phase(phaseReceive)()
	request, err = in.request(s.limits)
	return request, s.turns.give, err
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

// answer renders what is asked for. Where the same was asked of the same archive before,
// the archive isn't unpacked, only held against its checksum.
func (s *service) answer(ctx context.Context, in *incoming) (Request, documents, error) {
	key, err := in.key()
	if err == nil {
		if known, ok := s.renderer.again(key); ok {
			defer s.metrics.phase(phaseReceive)()
			return in.asked, known, in.verify()
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

// generate is Generate in a worker. It takes the repository from the request, so that it
// isn't held while the chart renders.
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
	manifests, err := s.renderer.render(ctx, key, found.source, found.recipe)
	return manifests, chart.Explain(err, found.merged)
}

// CheckPluginConfiguration says that Applications name the plugin, and that it isn't
// offered to others.
func (s *service) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*pluginpb.CheckPluginConfigurationResponse, error) {
	return &pluginpb.CheckPluginConfigurationResponse{IsDiscoveryConfigured: false, ProvideGitCreds: false}, nil
}

type matchStream = grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.RepositoryResponse]

// MatchRepository says whether the Application's folder has a ladder.
func (s *service) MatchRepository(stream matchStream) error {
	request, done, err := s.receive(stream)
	defer done()
	if err := withoutParameters(err); err != nil {
		return asStatus(err)
	}
	_, err = fs.Stat(request.Repository, path.Join(request.Dir, ladder.FileName))
	return stream.SendAndClose(&pluginpb.RepositoryResponse{IsSupported: err == nil})
}

type announceStream = grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.ParametersAnnouncementResponse]

// GetParametersAnnouncement says which parameters there are, and what the ladder of
// this very folder has to choose from: also where the Application's parameters are wrong,
// since the form that it makes is where they are mended.
func (s *service) GetParametersAnnouncement(stream announceStream) error {
	request, done, err := s.receive(stream)
	defer done()
	if err := withoutParameters(err); err != nil {
		return asStatus(err)
	}
	document, err := ladder.Open(request.Repository, request.Dir)
	if err != nil {
		return asStatus(err)
	}
	return stream.SendAndClose(&pluginpb.ParametersAnnouncementResponse{ParameterAnnouncements: announce(document)})
}

// asStatus gives an error the code that it has in gRPC. Argo CD shows the text, and so
// do terminals.
func asStatus(err error) error {
	if broken, ok := errors.AsType[*brokenStreamError](err); ok {
		return broken.cause // gRPC's own
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codeOf(err), printable.Lines(worker.Shorten(err.Error())))
}

func codeOf(err error) codes.Code {
	var lost *worker.LostError
	switch {
	case errors.As(err, &lost) && lost.Reason == worker.ReasonTime:
		return codes.DeadlineExceeded
	case errors.As(err, &lost), isTooLarge(err), errors.Is(err, errNoTurn):
		return codes.ResourceExhausted
	default:
		return codes.InvalidArgument
	}
}

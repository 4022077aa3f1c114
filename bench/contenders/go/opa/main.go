// Command opa answers checks by embedding the Rego engine in a server on grpc-go.
//
//	opa ADDRESS RULES.rego DATA.json
//
// The query is prepared once; the engine's cache of verified tokens is on, with room for 10,000 entries. It keeps no
// audit trail and no metrics, which the measured alternative does: both differences are in its favour.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"authz.example/bench/contenders/listen"
)

const tokenCache = `{"inter_query_builtin_value_cache": {"named": {
	"io_jwt": {"max_num_entries": 10000}, "io_jwt_keys": {"max_num_entries": 100}}}}`

type decider struct {
	authv3.UnimplementedAuthorizationServer
	query  rego.PreparedEvalQuery
	values cache.InterQueryValueCache
}

func (d *decider) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	results, err := d.query.Eval(ctx, rego.EvalInput(input(request)), rego.EvalInterQueryBuiltinValueCache(d.values))
	if err != nil || len(results) != 1 {
		return denied(typev3.StatusCode_ServiceUnavailable), nil
	}
	subject, allowed := results[0].Expressions[0].Value.(string)
	if !allowed || subject == "" {
		return denied(typev3.StatusCode_Forbidden), nil
	}
	return permitted(subject), nil
}

// input is what the rules look at; nothing else of the request is converted.
func input(request *authv3.CheckRequest) map[string]any {
	attributes := request.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	path, _, _ := strings.Cut(http.GetPath(), "?")
	token, _ := strings.CutPrefix(authorization(http), "Bearer ")
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	parts := make([]any, len(segments))
	for index, segment := range segments {
		parts[index] = segment
	}
	return map[string]any{
		"method": http.GetMethod(), "host": http.GetHost(), "path": parts, "token": token,
		"peer": attributes.GetSource().GetPrincipal(),
	}
}

// authorization finds the header in either of Envoy's two forms (`encode_raw_headers`).
func authorization(http *authv3.AttributeContext_HttpRequest) string {
	for _, header := range http.GetHeaderMap().GetHeaders() {
		if header.GetKey() == "authorization" {
			return string(header.GetRawValue())
		}
	}
	return http.GetHeaders()["authorization"]
}

func permitted(subject string) *authv3.CheckResponse {
	header := &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: "x-authz-subject", Value: subject},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
	ok := &authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{header}}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

func denied(code typev3.StatusCode) *authv3.CheckResponse {
	response := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: code}}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
	}
}

func prepare(rules, data []byte) (*decider, error) {
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	settings, err := cache.ParseCachingConfig([]byte(tokenCache))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	query, err := rego.New(
		rego.Query("data.bench.subject"),
		rego.Module("rules.rego", string(rules)),
		rego.Store(inmem.NewFromObject(document)),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	return &decider{query: query, values: cache.NewInterQueryValueCache(ctx, settings)}, nil
}

func main() {
	rules, err := os.ReadFile(os.Args[2])
	listen.Must(err)
	data, err := os.ReadFile(os.Args[3])
	listen.Must(err)
	server, err := prepare(rules, data)
	listen.Must(err)
	listen.Serve(os.Args[1], server)
}

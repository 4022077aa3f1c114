package main

import (
	"bytes"
	"encoding/json"

	"github.com/golang/protobuf/jsonpb" //nolint:staticcheck // what istio.io/api itself reads its messages with
	mesh "istio.io/api/mesh/v1alpha1"
)

// checkMesh reads Istio's mesh configuration as Istio does, but strictly: a field that it doesn't know is a fault.
func checkMesh(value any) []string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return []string{err.Error()}
	}
	reader := jsonpb.Unmarshaler{AllowUnknownFields: false}
	if err := reader.Unmarshal(bytes.NewReader(encoded), &mesh.MeshConfig{}); err != nil {
		return []string{"meshConfig: " + err.Error()}
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuralcel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

type kind struct{ version, name string }

// schemaOf is one kind's: `structural` for everything but types, patterns and enumerations, which are `validator`'s.
type schemaOf struct {
	structural *structural
	validator  validation.SchemaValidator
	core       bool
}

type structural = schema.Structural

func (s schemaOf) check(object map[string]any) []string {
	var faults []string
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(runtime.DeepCopyJSON(object), s.structural, !s.core, options) {
		faults = append(faults, fmt.Sprintf("%s: unknown field", path))
	}
	defaulting.Default(object, s.structural)
	for _, fault := range validation.ValidateCustomResource(nil, object, s.validator) {
		faults = append(faults, fault.Error())
	}
	for _, fault := range listtype.ValidateListSetsAndMaps(nil, s.structural, object) {
		faults = append(faults, fault.Error())
	}
	if rules := structuralcel.NewValidator(s.structural, !s.core, cel.PerCallLimit); rules != nil {
		found, _ := rules.Validate(context.Background(), nil, s.structural, object, nil, cel.RuntimeCELCostBudget)
		for _, fault := range found {
			faults = append(faults, fault.Error())
		}
	}
	return faults
}

func readSchemas(folder string) (map[kind]schemaOf, error) {
	schemas := map[kind]schemaOf{}
	for pattern, read := range map[string]func(string, map[kind]schemaOf) error{"*.yaml": readDefinitions, "*.json": readOpenAPI} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := read(file, schemas); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if len(schemas) == 0 {
		return nil, fmt.Errorf("%s holds no schema", folder)
	}
	return schemas, nil
}

// readDefinitions takes each served version of each CustomResourceDefinition; other documents of the file are none.
func readDefinitions(file string, schemas map[kind]schemaOf) error {
	parts, err := split(file)
	if err != nil {
		return err
	}
	for _, part := range parts {
		var definition v1.CustomResourceDefinition
		if err := yaml.Unmarshal(part, &definition); err != nil || definition.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range definition.Spec.Versions {
			if !version.Served || version.Schema == nil {
				continue
			}
			made, err := compile(version.Schema.OpenAPIV3Schema, false)
			if err != nil {
				return fmt.Errorf("%s: %w", definition.Name, err)
			}
			schemas[kind{definition.Spec.Group + "/" + version.Name, definition.Spec.Names.Kind}] = made
		}
	}
	return nil
}

// readOpenAPI takes the kinds that a group's document says are its own.
func readOpenAPI(file string, schemas map[kind]schemaOf) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return err
	}
	for name, raw := range document.Components.Schemas {
		for _, group := range groupVersionKinds(raw) {
			// Options of requests are of every group, objects of one.
			if strings.HasPrefix(name, "io.k8s.apimachinery.") {
				continue
			}
			encoded, err := json.Marshal(inline(raw, document.Components.Schemas))
			if err != nil {
				return err
			}
			var props v1.JSONSchemaProps
			if err := json.Unmarshal(encoded, &props); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			made, err := compile(&props, true)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			schemas[group] = made
		}
	}
	return nil
}

func groupVersionKinds(raw map[string]any) []kind {
	var found []kind
	listed, _ := raw["x-kubernetes-group-version-kind"].([]any)
	for _, each := range listed {
		fields, _ := each.(map[string]any)
		version := text(fields["version"])
		if group := text(fields["group"]); group != "" {
			version = group + "/" + version
		}
		found = append(found, kind{version, text(fields["kind"])})
	}
	return found
}

const prefix = "#/components/schemas/"

// inline replaces references by what they name, and the two types that OpenAPI can't say by the API server's marks.
func inline(value any, all map[string]map[string]any) any {
	switch value := value.(type) {
	case []any:
		var made []any
		for _, each := range value {
			made = append(made, inline(each, all))
		}
		return made
	case map[string]any:
		if reference := text(value["$ref"]); reference != "" {
			return inline(map[string]any(all[strings.TrimPrefix(reference, prefix)]), all)
		}
		if alternatives, ok := value["oneOf"].([]any); ok && len(alternatives) == 2 {
			return map[string]any{"x-kubernetes-int-or-string": true}
		}
		made := map[string]any{}
		if parts, ok := value["allOf"].([]any); ok && len(parts) == 1 {
			for name, each := range inline(parts[0], all).(map[string]any) {
				made[name] = each
			}
		}
		for name, each := range value {
			if name != "allOf" && name != "description" {
				made[name] = inline(each, all)
			}
		}
		return made
	default:
		return value
	}
}

func compile(props *v1.JSONSchemaProps, core bool) (schemaOf, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil); err != nil {
		return schemaOf{}, err
	}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		return schemaOf{}, err
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	return schemaOf{structural: structural, validator: validator, core: core}, err
}

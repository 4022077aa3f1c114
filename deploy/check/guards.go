package main

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// guardKind is checked beyond its schema: its rules have to compile.
const guardKind = "ValidatingAdmissionPolicy"

// judge says which rules of the guards an object breaks, by their messages.
func judge(guards [][]byte, object map[string]any) ([]string, error) {
	var broken []string
	for _, part := range guards {
		var guard v1.ValidatingAdmissionPolicy
		if err := yaml.Unmarshal(part, &guard); err != nil || guard.Kind != guardKind || !concerns(guard, object) {
			continue
		}
		for _, rule := range guard.Spec.Validations {
			program, err := compileRule(rule.Expression)
			if err != nil {
				return nil, err
			}
			verdict, _, err := program.Eval(map[string]any{"object": object})
			if err != nil {
				return nil, err
			}
			if verdict.Value() != true {
				broken = append(broken, rule.Message)
			}
		}
	}
	return broken, nil
}

func concerns(guard v1.ValidatingAdmissionPolicy, object map[string]any) bool {
	if guard.Spec.MatchConstraints == nil {
		return false
	}
	group, _, found := strings.Cut(text(object["apiVersion"]), "/")
	if !found {
		group = ""
	}
	for _, rule := range guard.Spec.MatchConstraints.ResourceRules {
		for _, resource := range rule.Resources {
			if contains(rule.APIGroups, group) && resource == plural(text(object["kind"])) {
				return true
			}
		}
	}
	return false
}

func contains(words []string, word string) bool {
	for _, each := range words {
		if each == word {
			return true
		}
	}
	return false
}

func plural(kind string) string {
	lower := strings.ToLower(kind)
	if stem, ok := strings.CutSuffix(lower, "y"); ok {
		return stem + "ies"
	}
	return lower + "s"
}

func checkGuard(part []byte) []string {
	var guard v1.ValidatingAdmissionPolicy
	if err := yaml.UnmarshalStrict(part, &guard); err != nil {
		return []string{err.Error()}
	}
	var faults []string
	for number, rule := range guard.Spec.Validations {
		if _, err := compileRule(rule.Expression); err != nil {
			faults = append(faults, fmt.Sprintf("spec.validations[%d]: %s", number, err))
		}
	}
	return faults
}

func compileRule(expression string) (cel.Program, error) {
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: environment.DefaultCompatibilityVersion(),
		EnvOptions:        []cel.EnvOption{cel.Variable("object", cel.DynType)},
	})
	if err != nil {
		return nil, err
	}
	env := set.StoredExpressionsEnv()
	tree, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	if tree.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%q says neither true nor false", expression)
	}
	return env.Program(tree)
}

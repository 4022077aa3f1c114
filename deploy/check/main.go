// Command check holds manifests against the schemas that a cluster would hold them against, with the API server's
// own code: structure, unknown fields, defaults, lists that are sets or maps, and CEL rules.
//
//	check SCHEMAS MANIFEST...
//	check judge GUARDS OBJECTS    prints the rules of admission policies that the objects break, a line each
//
// SCHEMAS is a folder: *.yaml are CustomResourceDefinitions, *.json are OpenAPI v3 documents of the core groups. A
// document whose only key is meshConfig is read as Istio's MeshConfig. A kind without a schema is a fault, never
// skipped. Prints one fault a line, then a sentence; exit code 1 with faults, 2 when it could not work.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "judge" {
		if err := printVerdicts(os.Args[2], os.Args[3]); err != nil {
			fail(err)
		}
		return
	}
	if len(os.Args) < 3 {
		fail(errors.New("usage: check SCHEMAS MANIFEST..."))
	}
	schemas, err := readSchemas(os.Args[1])
	if err != nil {
		fail(err)
	}
	documents, faults := 0, 0
	for _, file := range os.Args[2:] {
		parts, err := split(file)
		if err != nil {
			fail(err)
		}
		for number, part := range parts {
			documents++
			for _, fault := range check(schemas, part) {
				faults++
				fmt.Printf("%s: document %d: %s\n", file, number+1, strings.ReplaceAll(fault, "\n", " "))
			}
		}
	}
	fmt.Printf("check: %d documents against %d schemas, %d faults\n", documents, len(schemas), faults)
	if documents == 0 {
		fail(errors.New("nothing to check"))
	}
	if faults > 0 {
		os.Exit(1)
	}
}

func printVerdicts(guardFile, objectFile string) error {
	guards, err := split(guardFile)
	if err != nil {
		return err
	}
	objects, err := split(objectFile)
	if err != nil {
		return err
	}
	for _, part := range objects {
		object, err := read(part)
		if err != nil {
			return err
		}
		broken, err := judge(guards, object)
		if err != nil {
			return err
		}
		for _, message := range broken {
			fmt.Printf("%s: %s\n", text(object["kind"]), message)
		}
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "check:", err)
	os.Exit(2)
}

// split reads the documents of a file; one that holds comments only is none.
func split(file string) ([][]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var parts [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var value any
		if err := yaml.Unmarshal(part, &value); err != nil || value != nil {
			parts = append(parts, part)
		}
	}
}

// read is strict: a key that stands twice is a fault. Whole numbers stay whole, as rules expect them.
func read(part []byte) (map[string]any, error) {
	encoded, err := yaml.YAMLToJSONStrict(part)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	return object, utiljson.Unmarshal(encoded, &object)
}

func check(schemas map[kind]schemaOf, part []byte) []string {
	object, err := read(part)
	if err != nil {
		return []string{err.Error()}
	}
	if mesh, ok := object["meshConfig"]; ok && len(object) == 1 {
		return checkMesh(mesh)
	}
	name := kind{version: text(object["apiVersion"]), name: text(object["kind"])}
	found, ok := schemas[name]
	if !ok {
		return []string{fmt.Sprintf("no schema for %s %s", name.version, name.name)}
	}
	faults := found.check(object)
	if name.name == guardKind {
		faults = append(faults, checkGuard(part)...)
	}
	return faults
}

func text(value any) string {
	word, _ := value.(string)
	return word
}

package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3gen"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// describe makes the description of every route that there can be.
func describe(t *testing.T) *openapi3.T {
	t.Helper()
	doc := &openapi3.T{
		OpenAPI: "3.0.3",
		Info: &openapi3.Info{
			Title: "ra: the admin port", Version: "1",
			Description: "What the admin port of an EST registration authority serves. Errors are problems of RFC 9457; durations are milliseconds in took_ms; parameters of a query that are not named here are refused. The process that serves this description serves what is in it: what a lab alone has is not in that of ra serve.",
		},
		Paths:      openapi3.NewPaths(),
		Components: &openapi3.Components{Schemas: openapi3.Schemas{}},
	}
	types := openapi3gen.NewGenerator(
		openapi3gen.SchemaCustomizer(refine),
		openapi3gen.CreateComponentSchemas(openapi3gen.ExportComponentSchemasOptions{ExportComponentSchemas: true, ExportTopLevelSchema: true}),
	)
	schemaOf := func(value any) *openapi3.SchemaRef {
		ref, err := types.NewSchemaRefForValue(value, doc.Components.Schemas)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	for _, r := range (&handler{}).routes() {
		operation := &openapi3.Operation{OperationID: r.name, Description: r.help, Responses: &openapi3.Responses{}}
		for _, p := range r.query {
			operation.AddParameter(&openapi3.Parameter{Name: p.name, In: "query", Description: p.help, Schema: schemaOfParameter(p).NewRef(), AllowEmptyValue: p.kind == flagParameter})
		}
		for _, segment := range strings.Split(r.path, "/") {
			if name, ok := strings.CutPrefix(segment, "{"); ok {
				operation.AddParameter(openapi3.NewPathParameter(strings.TrimSuffix(name, "}")).WithSchema(openapi3.NewStringSchema()))
			}
		}
		if r.takes != nil {
			body := openapi3.NewRequestBody().WithRequired(true).WithContent(openapi3.NewContentWithJSONSchemaRef(schemaOf(r.takes)))
			for _, media := range r.also {
				body.Content[media] = openapi3.NewMediaType().WithSchema(openapi3.NewStringSchema())
			}
			operation.RequestBody = &openapi3.RequestBodyRef{Value: body}
		}
		good := openapi3.NewResponse().WithDescription("It went well.")
		if len(r.gives) > 0 {
			schemas := make([]*openapi3.SchemaRef, len(r.gives))
			for i, g := range r.gives {
				schemas[i] = schemaOf(g)
			}
			schema := schemas[0]
			if len(schemas) > 1 {
				schema = &openapi3.SchemaRef{Value: &openapi3.Schema{OneOf: schemas}}
			}
			good.WithContent(openapi3.NewContentWithJSONSchemaRef(schema))
		} else {
			schema := openapi3.NewStringSchema()
			if r.media == "application/json" {
				schema = openapi3.NewObjectSchema()
			}
			good.WithContent(openapi3.NewContentWithSchema(schema, []string{r.media}))
		}
		status := max(r.status, http.StatusOK)
		operation.AddResponse(status, good)
		problem := openapi3.NewContentWithSchemaRef(schemaOf(Problem{}), []string{"application/problem+json"})
		for _, status := range append([]int{400, 401, 403, 404}, r.fails...) {
			content := problem
			if status == 503 && len(r.gives) > 0 && reflect.TypeOf(r.gives[0]) == reflect.TypeFor[Readiness]() {
				content = openapi3.NewContentWithJSONSchemaRef(schemaOf(Readiness{}))
			}
			operation.AddResponse(status, openapi3.NewResponse().WithDescription(http.StatusText(status)).WithContent(content))
		}
		doc.AddOperation(r.path, r.method, operation)
	}
	return doc
}

func schemaOfParameter(p parameter) *openapi3.Schema {
	s := openapi3.NewStringSchema()
	switch p.kind {
	case textParameter:
		if p.filled {
			s.MinLength = 1
		}
	case numberParameter:
		s = openapi3.NewIntegerSchema().WithMin(float64(p.low)).WithMax(float64(p.high)).WithDefault(p.fallback)
	case wordParameter:
		for _, word := range p.words {
			s.Enum = append(s.Enum, word)
		}
	case durationParameter:
		s.Example = "10s"
	}
	return s
}

// refine adds what encoding/json does by a method, and which members are always there.
func refine(_ string, t reflect.Type, _ reflect.StructTag, schema *openapi3.Schema) error {
	if t == reflect.TypeFor[State]() {
		for _, s := range states {
			schema.Enum = append(schema.Enum, string(s))
		}
	}
	if t.Kind() != reflect.Struct || schema.Properties == nil {
		return nil
	}
	if t == reflect.TypeFor[Enrollment]() || t == reflect.TypeFor[Leg]() {
		for _, f := range reflect.VisibleFields(reflect.TypeFor[took]()) {
			s := openapi3.NewFloat64Schema()
			s.Description = map[string]string{"took_ms": "milliseconds", "duration_ms": "took_ms by its older name"}[f.Tag.Get("json")]
			schema.Properties[f.Tag.Get("json")] = s.NewRef()
		}
		schema.Required = []string{"took_ms", "duration_ms"}
	}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "-" && name != "" && options == "" {
			schema.Required = append(schema.Required, name)
		}
	}
	slices.Sort(schema.Required)
	return nil
}

func TestTheDescriptionIsThatOfTheCode(t *testing.T) {
	text, err := json.MarshalIndent(describe(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text, description) {
		t.Error("openapi.json is not what the routes make: go test ./ra/admin -update")
	}
}

func TestTheDescriptionHasWhatIsServedAndNoMore(t *testing.T) {
	served := func(o Options) (paths map[string]map[string]any) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/openapi.json", nil)
		r.Host = "localhost"
		New(o).ServeHTTP(w, r)
		var d struct {
			Paths map[string]map[string]any `json:"paths"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		return d.Paths
	}
	bare := served(Options{})
	if fmt.Sprint(len(bare), bare["/healthz"] != nil, bare["/openapi.json"] != nil) != "2 true true" {
		t.Errorf("%v", bare)
	}
	plain := served(Options{Enrollments: NewEnrollments(0, nil)})
	if plain["/enrollments"]["get"] == nil || plain["/enrollments"]["delete"] != nil || plain["/faults"] != nil {
		t.Errorf("%v", plain)
	}
}

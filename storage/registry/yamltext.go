package registry

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML guesses types: the MAC 001122334455 and the name 20.10 are numbers to
// it, of which 12e456789012 is infinite. asText puts back what the operator
// wrote wherever the record wants text.
//
// plain is what YAML made of node, and t the type it is for. Whatever does not
// fit t is left alone: decoding reports it.
func asText(plain any, node *yaml.Node, t reflect.Type) any {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if wantsText(t) {
		if node.Kind == yaml.ScalarNode && node.Tag != "!!null" && node.Tag != "!!binary" {
			return node.Value
		}
		return plain
	}
	switch value := plain.(type) {
	case map[string]any:
		return asTextMap(value, node, t)
	case []any:
		if t.Kind() != reflect.Slice || node.Kind != yaml.SequenceNode || len(value) != len(node.Content) {
			return plain
		}
		for i := range value {
			value[i] = asText(value[i], node.Content[i], t.Elem())
		}
	}
	return plain
}

func asTextMap(plain map[string]any, node *yaml.Node, t reflect.Type) any {
	if node.Kind != yaml.MappingNode {
		return plain
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		value, ok := plain[key]
		if at := memberType(t, key); ok && at != nil {
			plain[key] = asText(value, node.Content[i+1], at)
		}
	}
	return plain
}

// memberType is the type of a field by its JSON name, or of a map's values.
func memberType(t reflect.Type, key string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == key {
				return t.Field(i).Type
			}
		}
	}
	return nil
}

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType = reflect.TypeFor[time.Time]() // YAML reads more forms of it than JSON
)

func wantsText(t reflect.Type) bool {
	return t != timeType && (t.Kind() == reflect.String || reflect.PointerTo(t).Implements(textType))
}

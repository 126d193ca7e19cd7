package profile

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Limits on a profile file, checked before anything is built from it.
const (
	MaxSize   = 1 << 20 // bytes
	maxDepth  = 12
	maxValues = 20000
)

// decode fills the struct at out from JSON, and refuses what encoding/json
// lets pass: keys in another case, unknown, doubled or missing keys, data after
// the value, null for anything but a pointer, invalid UTF-8. Errors name the
// key by its path, such as ca.syncMarginDays.
func decode(file []byte, out any) error {
	if len(file) > MaxSize {
		return fmt.Errorf("profile: file of %d bytes, limit %d", len(file), MaxSize)
	}
	if !utf8.Valid(file) {
		return errors.New("profile: file is not UTF-8")
	}
	d := &decoder{json.NewDecoder(bytes.NewReader(file)), 0}
	d.UseNumber()
	if err := d.value("", reflect.ValueOf(out).Elem(), 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("profile: data after the end of the object")
	}
	return nil
}

type decoder struct {
	*json.Decoder
	values int
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// value reads the next value into v.
func (d *decoder) value(path string, v reflect.Value, depth int) error {
	token, err := d.Token()
	if err != nil {
		return fmt.Errorf("profile: %s: %w", name(path), err)
	}
	if d.values++; d.values > maxValues || depth > maxDepth {
		return fmt.Errorf("profile: %s: too many or too deeply nested values", name(path))
	}
	if v.Kind() == reflect.Pointer {
		if token == nil {
			v.SetZero()
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	wrong := func() error {
		return fmt.Errorf("profile: %s: want %s, found %s", name(path), kind(v), found(token))
	}
	if v.CanAddr() && v.Addr().Type().Implements(textUnmarshaler) {
		s, ok := token.(string)
		if !ok {
			return wrong()
		}
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("profile: %s: %w", name(path), err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		if token != json.Delim('{') {
			return wrong()
		}
		return d.object(path, v, depth)
	case reflect.Map:
		if token != json.Delim('{') {
			return wrong()
		}
		return d.dictionary(path, v, depth)
	case reflect.Slice:
		if token != json.Delim('[') {
			return wrong()
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for d.More() {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(fmt.Sprintf("%s[%d]", path, v.Len()), item, depth+1); err != nil {
				return err
			}
			v.Set(reflect.Append(v, item))
		}
		_, err := d.Token()
		return err
	case reflect.String:
		s, ok := token.(string)
		if !ok {
			return wrong()
		}
		if strings.ContainsRune(s, utf8.RuneError) {
			return fmt.Errorf("profile: %s: replacement character in text", name(path))
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := token.(bool)
		if !ok {
			return wrong()
		}
		v.SetBool(b)
	case reflect.Int:
		n, ok := token.(json.Number)
		if !ok {
			return wrong()
		}
		i, err := n.Int64()
		if err != nil || int64(int(i)) != i {
			return fmt.Errorf("profile: %s: %s is not a whole number in range", name(path), n)
		}
		v.SetInt(i)
	default:
		return fmt.Errorf("profile: %s: type %s is not supported", name(path), v.Type())
	}
	return nil
}

// object reads the members of a struct. Every field must be present: a rule
// that is not written down must not get a value by accident.
func (d *decoder) object(path string, v reflect.Value, depth int) error {
	fields := make(map[string]int)
	for i := range v.NumField() {
		if key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); key != "-" {
			fields[key] = i
		}
	}
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.key(path, seen)
		if err != nil {
			return err
		}
		i, ok := fields[key]
		if !ok {
			return fmt.Errorf("profile: %s: unknown key", join(path, key))
		}
		if err := d.value(join(path, key), v.Field(i), depth+1); err != nil {
			return err
		}
	}
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if key != "-" && !seen[key] {
			return fmt.Errorf("profile: %s: key is missing", join(path, key))
		}
	}
	_, err := d.Token()
	return err
}

// dictionary reads a map with free keys, such as languages.
func (d *decoder) dictionary(path string, v reflect.Value, depth int) error {
	v.Set(reflect.MakeMap(v.Type()))
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.key(path, seen)
		if err != nil {
			return err
		}
		item := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(join(path, key), item, depth+1); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), item)
	}
	_, err := d.Token()
	return err
}

func (d *decoder) key(path string, seen map[string]bool) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", fmt.Errorf("profile: %s: %w", name(path), err)
	}
	key, _ := token.(string)
	if seen[key] {
		return "", fmt.Errorf("profile: %s: key appears twice", join(path, key))
	}
	seen[key] = true
	return key, nil
}

func join(path, key string) string {
	if len(key) > 64 {
		key = key[:64] + "…"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func name(path string) string {
	if path == "" {
		return "file"
	}
	return path
}

func kind(v reflect.Value) string {
	if v.CanAddr() && v.Addr().Type().Implements(textUnmarshaler) {
		return "a string"
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a string"
}

func found(token json.Token) string {
	switch t := token.(type) {
	case nil:
		return "null"
	case json.Delim:
		return map[json.Delim]string{'{': "an object", '[': "a list"}[t]
	case string:
		return "a string"
	case bool:
		return fmt.Sprint(t)
	default:
		return fmt.Sprintf("the number %v", t)
	}
}

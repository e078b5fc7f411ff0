// The part of a Kubernetes API server that calls admission webhooks: the admission plugins of k8s.io/apiserver, driven by
// lines of JSON on standard input. Each line gives one line on standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/request"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	fakeclientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// One request to the API server, or one body that is sent to a webhook as it is.
type command struct {
	// Where every service and its port is.
	Endpoint string `json:"endpoint"`
	// PEM files with which the API server shows who it is; without them it has no certificate.
	ClientCert string `json:"clientCert"`
	ClientKey  string `json:"clientKey"`

	Validating []registrationv1.ValidatingWebhookConfiguration `json:"validating"`
	Mutating   []registrationv1.MutatingWebhookConfiguration   `json:"mutating"`
	Namespaces []corev1.Namespace                              `json:"namespaces"`

	Operation   string          `json:"operation"`
	Group       string          `json:"group"`
	Version     string          `json:"version"`
	Kind        string          `json:"kind"`
	Resource    string          `json:"resource"`
	Subresource string          `json:"subresource"`
	Namespace   string          `json:"namespace"`
	Name        string          `json:"name"`
	DryRun      bool            `json:"dryRun"`
	Object      json.RawMessage `json:"object"`
	OldObject   json.RawMessage `json:"oldObject"`

	Raw *rawReview `json:"raw"`
	// Objects of manifests, read as an API server reads them under strict validation of fields.
	Manifests []json.RawMessage `json:"manifests"`
}

type rawReview struct {
	URL      string `json:"url"`
	CABundle []byte `json:"caBundle"`
	Body     string `json:"body"`
	// The uid that the review has, which the response must have too.
	UID      string `json:"uid"`
	Timeout  string `json:"timeout"`
	Mutating bool   `json:"mutating"`
}

type outcome struct {
	Allowed bool `json:"allowed"`
	// A webhook failed, and its failure policy let the request pass.
	FailedOpen bool   `json:"failedOpen"`
	Message    string `json:"message"`
	Code       int32  `json:"code"`
	// The object as it is after the mutating webhooks.
	Object runtime.Object `json:"object,omitempty"`
	Millis int64          `json:"millis"`
}

type attributes struct {
	admission.Attributes
	mutex      sync.Mutex
	failedOpen bool
}

func (a *attributes) AddAnnotation(key, value string) error {
	return a.AddAnnotationWithLevel(key, value, auditinternal.LevelMetadata)
}

func (a *attributes) AddAnnotationWithLevel(key, value string, level auditinternal.Level) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if strings.HasPrefix(key, "failed-open.") {
		a.failedOpen = true
	}
	return a.Attributes.AddAnnotationWithLevel(key, value, level)
}

type resolver struct{ base *url.URL }

func (r resolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	return r.base, nil
}

type credentials struct{ config *rest.Config }

func (c credentials) ClientConfigFor(hostPort string) (*rest.Config, error) { return c.config, nil }
func (c credentials) ClientConfigForService(name, namespace string, port int) (*rest.Config, error) {
	return c.config, nil
}

type plugin interface {
	SetAuthenticationInfoResolverWrapper(webhookutil.AuthenticationInfoResolverWrapper)
	SetServiceResolver(webhookutil.ServiceResolver)
	ValidateInitialization() error
}

type server struct {
	validating *validating.Plugin
	mutating   *mutating.Plugin
}

// Servers by their configuration.
var servers = map[string]*server{}

func (c *command) authentication() webhookutil.AuthenticationInfoResolverWrapper {
	config := &rest.Config{TLSClientConfig: rest.TLSClientConfig{CertFile: c.ClientCert, KeyFile: c.ClientKey}}
	return func(webhookutil.AuthenticationInfoResolver) webhookutil.AuthenticationInfoResolver {
		return credentials{config}
	}
}

func (c *command) server() (*server, error) {
	key, err := json.Marshal([]any{c.Endpoint, c.ClientCert, c.ClientKey, c.Validating, c.Mutating, c.Namespaces})
	if err != nil {
		return nil, err
	}
	if found, ok := servers[string(key)]; ok {
		return found, nil
	}
	base, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	objects := []runtime.Object{}
	for i := range c.Namespaces {
		objects = append(objects, &c.Namespaces[i])
	}
	for i := range c.Validating {
		objects = append(objects, &c.Validating[i])
	}
	for i := range c.Mutating {
		objects = append(objects, &c.Mutating[i])
	}
	client := fakeclientset.NewSimpleClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	made := &server{}
	if made.validating, err = validating.NewValidatingAdmissionWebhook(nil); err != nil {
		return nil, err
	}
	if made.mutating, err = mutating.NewMutatingWebhook(nil); err != nil {
		return nil, err
	}
	made.validating.SetExternalKubeClientSet(client)
	made.validating.SetExternalKubeInformerFactory(factory)
	made.mutating.SetExternalKubeClientSet(client)
	made.mutating.SetExternalKubeInformerFactory(factory)
	for _, one := range []plugin{made.validating, made.mutating} {
		one.SetAuthenticationInfoResolverWrapper(c.authentication())
		one.SetServiceResolver(resolver{base})
	}
	never := make(chan struct{})
	factory.Start(never)
	factory.WaitForCacheSync(never)
	for _, one := range []plugin{made.validating, made.mutating} {
		if err := one.ValidateInitialization(); err != nil {
			return nil, err
		}
	}
	servers[string(key)] = made
	return made, nil
}

// The object as an API server has it: read as its own type, where the type is known, and with each field that the type always has.
func objectOf(raw json.RawMessage, kind schema.GroupVersionKind) (runtime.Object, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	plain := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &plain.Object); err != nil {
		return nil, err
	}
	own := plain.GroupVersionKind()
	if scheme.Scheme.Recognizes(own) {
		typed, err := scheme.Scheme.New(own)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, typed); err != nil {
			return nil, err
		}
		if plain.Object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(typed); err != nil {
			return nil, err
		}
	}
	plain.SetGroupVersionKind(kind)
	return plain, nil
}

func (c *command) run() (outcome, error) {
	if c.Raw != nil {
		return c.Raw.send(c)
	}
	if len(c.Manifests) > 0 {
		return verdict(readStrictly(c.Manifests)), nil
	}
	made, err := c.server()
	if err != nil {
		return outcome{}, err
	}
	kind := schema.GroupVersionKind{Group: c.Group, Version: c.Version, Kind: c.Kind}
	resource := schema.GroupVersionResource{Group: c.Group, Version: c.Version, Resource: c.Resource}
	object, err := objectOf(c.Object, kind)
	if err != nil {
		return outcome{}, err
	}
	old, err := objectOf(c.OldObject, kind)
	if err != nil {
		return outcome{}, err
	}
	who := &user.DefaultInfo{Name: "developer"}
	record := admission.NewAttributesRecord(object, old, kind, c.Namespace, c.Name, resource, c.Subresource,
		admission.Operation(c.Operation), nil, c.DryRun, who)
	attr := &attributes{Attributes: record}
	interfaces := admission.NewObjectInterfacesFromScheme(scheme.Scheme)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	started := time.Now()
	if len(c.Mutating) > 0 {
		err = made.mutating.Admit(ctx, attr, interfaces)
	}
	if err == nil && len(c.Validating) > 0 {
		err = made.validating.Validate(ctx, attr, interfaces)
	}
	result := verdict(err)
	result.FailedOpen = attr.failedOpen
	result.Object = attr.GetObject()
	result.Millis = time.Since(started).Milliseconds()
	return result, nil
}

func readStrictly(manifests []json.RawMessage) error {
	reader := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme,
		serializer.SerializerOptions{Strict: true})
	for _, manifest := range manifests {
		if _, _, err := reader.Decode(manifest, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func verdict(err error) outcome {
	if err == nil {
		return outcome{Allowed: true}
	}
	result := outcome{Message: err.Error()}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		result.Code = status.ErrStatus.Code
	}
	return result
}

// Sends the body as the dispatchers do, and reads the answer as they do. An error is a failure of the webhook.
func (r *rawReview) send(c *command) (outcome, error) {
	manager, err := webhookutil.NewClientManager(
		[]schema.GroupVersion{admissionv1beta1.SchemeGroupVersion, admissionv1.SchemeGroupVersion},
		admissionv1beta1.AddToScheme, admissionv1.AddToScheme)
	if err != nil {
		return outcome{}, err
	}
	manager.SetAuthenticationInfoResolverWrapper(c.authentication())
	manager.SetServiceResolver(webhookutil.NewDefaultServiceResolver())
	client, err := manager.HookClient(webhookutil.ClientConfig{Name: "raw", URL: r.URL, CABundle: r.CABundle})
	if err != nil {
		return outcome{}, err
	}
	timeout := 10 * time.Second
	if r.Timeout != "" {
		if timeout, err = time.ParseDuration(r.Timeout); err != nil {
			return outcome{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	response := &admissionv1.AdmissionReview{}
	started := time.Now()
	err = client.Post().Body([]byte(r.Body)).Timeout(timeout).Do(ctx).Into(response)
	result := outcome{Millis: time.Since(started).Milliseconds()}
	if err == nil {
		var read *request.AdmissionResponse
		if read, err = request.VerifyAdmissionResponse(types.UID(r.UID), r.Mutating, response); err == nil {
			result.Allowed = read.Allowed
			if read.Result != nil {
				result.Message, result.Code = read.Result.Message, read.Result.Code
			}
			return result, nil
		}
	}
	// What `failurePolicy: Ignore` admits.
	result.Allowed, result.FailedOpen, result.Message = true, true, err.Error()
	return result, nil
}

func main() {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			return
		}
		var next command
		result := outcome{}
		if err = json.Unmarshal(line, &next); err == nil {
			result, err = next.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "api-server:", err)
			os.Exit(2)
		}
		if err := out.Encode(result); err != nil {
			os.Exit(2)
		}
	}
}

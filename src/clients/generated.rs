//! The clients that `build.rs` generates from `openapi/*.yaml`, one module each,
//! with what all of their calls share.

macro_rules! clients {
    ($($(#[$when:meta])? $name:ident)*) => { $(
        $(#[$when])?
        #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, unused, rustdoc::all, reason = "generated code is not ours to format")]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));

            use futures::FutureExt;

            use crate::clients::{CallError, envelope, path};

            impl ClientHooks<crate::clients::Peer> for Client {
                async fn pre<E>(&self, request: &mut reqwest::Request, _: &OperationInfo) -> Result<(), Error<E>> {
                    path::refuse_marked(request).map_err(Error::InvalidRequest)?;
                    #[cfg(feature = "server")]
                    crate::traces::current::put_into(request.headers_mut());
                    self.inner().authorize(request).await.map_err(Error::Custom)
                }
                async fn exec(
                    &self,
                    request: reqwest::Request,
                    _: &OperationInfo,
                ) -> reqwest::Result<reqwest::Response> {
                    envelope::of_failure(self.inner().execute(self.client(), request).await?).await
                }
            }

            impl Client {
                /// Makes a call of this client. Returns the body of the answer.
                //
                // Not an async function, nor are those around it: a future that awaits
                // another holds it twice, and these are large.
                pub fn call<T>(
                    &self,
                    call: impl Future<Output = Result<ResponseValue<T>, Error<crate::types::ErrorEnvelope>>>,
                ) -> impl Future<Output = Result<T, CallError>> {
                    call.map(|answer| answer.map(ResponseValue::into_inner).map_err(|error| self.failed(error)))
                }

                /// A failure of a call of this client.
                pub fn failed(&self, error: Error<crate::types::ErrorEnvelope>) -> CallError {
                    self.inner().failed(error)
                }

                /// The same client for calls that are sent only while the permit stands.
                #[cfg(feature = "server")]
                pub(crate) fn with_permit(&self, permit: &crate::clients::Permit) -> Self {
                    Self { inner: self.inner.with_permit(permit), ..self.clone() }
                }

                /// The same client for calls on behalf of `subject`.
                #[cfg(feature = "server")]
                pub(crate) fn on_behalf_of(&self, subject: &crate::clients::Subject) -> Self {
                    Self { inner: self.inner.on_behalf_of(subject), ..self.clone() }
                }
            }
        }
    )* };
}
clients! {
    run_coordinator
    #[cfg(feature = "server")] artifact_store
    #[cfg(feature = "server")] atomic_executor
    #[cfg(feature = "server")] composite_executor
    #[cfg(feature = "server")] event_stream
    #[cfg(feature = "server")] node_registry
    #[cfg(feature = "server")] operator
    #[cfg(feature = "server")] pdp
    #[cfg(feature = "server")] run_store
    #[cfg(feature = "server")] selection
}

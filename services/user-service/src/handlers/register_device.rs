use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use common::http::{Body, ClientAddress, ErrorBody, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_text;
use crate::devices;
use crate::error::Error;
use crate::limits::Limit;
use crate::models::device;
use crate::state::State;

/// When a full register is worth another try.
const FULL_RETRY: Duration = Duration::from_mins(10);

/// A device's half of the key agreement.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RegisterDevice {
    /// X25519 public key, raw 32 bytes, base64.
    #[schema(example = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")]
    public_key: String,
    /// Name the owner will know it by.
    #[schema(example = "Alice's phone")]
    device_name: Option<String>,
    /// What the device says of itself.
    #[schema(example = "Pixel 9, Android 16")]
    device_info: Option<String>,
}

/// The server's half.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegisteredDevice {
    device_id: Uuid,
    /// X25519 public key, raw 32 bytes, base64.
    #[schema(example = "CzBVep/E6Q4zWH2ix+wRNluApcrvFDleg6jN8hc8YYY=")]
    server_public_key: String,
}

/// Register a device and agree on its key
///
/// Device key = HKDF-SHA-256(ikm = X25519 shared secret, salt = raw client key then raw server
/// key, info = `latchkey device hmac v1`, 32 bytes).
#[utoipa::path(tag = "accounts", request_body = RegisterDevice, responses(
    (status = 201, description = "Registered", body = RegisteredDevice),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address", body = ErrorBody),
    (status = 503, description = "`too_many_devices`: too many that nobody has signed in on; or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/register-device")]
pub(crate) async fn register_device(
    state: web::Data<State>,
    address: ClientAddress,
    Body(request): Body<RegisterDevice>,
) -> Result<HttpResponse, Error> {
    check_text("device_name", request.device_name.as_deref(), 100)?;
    check_text("device_info", request.device_info.as_deref(), 1024)?;
    let mut registered = devices::agree(&state.keyring, &request.public_key, state.clock.now())?;
    registered.device.device_name = request.device_name;
    registered.device.device_info = request.device_info;
    state.limiter.check(Limit::RegisterDevice, address.limit_key().into()).await?;
    let mut connection = state.pool.get().await?;
    if device::unbound_reach(&mut connection, state.settings.limits.unbound_devices).await? {
        let message = "too many devices wait for their first sign-in; try again later";
        return Err(Problem::unavailable("too_many_devices", message, FULL_RETRY).into());
    }
    device::insert(&mut connection, &registered.device).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(RegisteredDevice {
        device_id: registered.device.id,
        server_public_key: registered.server_public_key,
    }))
}

//! Rooms and their lists.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::issuer::{ISSUER, User};
use super::support::{TestApp, send};

#[tokio::test]
async fn a_room_is_created_with_its_creator_in_it() {
    let (app, user) = (TestApp::start().await, User::new());
    let body = json!({ "name": "  Tea ☕ ", "visibility": "private" });
    let answer = app.post_as(&user, "/api/rooms/create", &body).await.expect(201);
    assert_eq!(answer.json.as_object().unwrap().len(), 4);
    assert_eq!(
        (answer.member("name"), answer.member("visibility")),
        ("Tea ☕".into(), "private".into())
    );
    let created_at = answer.member("created_at");
    assert!(created_at.ends_with('Z') && created_at.len() == 24, "{created_at}");
    let room: Uuid = answer.member("room_id").parse().unwrap();
    let members = app.get_as(&user, &format!("/api/rooms/{room}/members")).await.expect(200);
    assert_eq!(members.json["items"][0]["user_id"], user.id.to_string());
}

#[tokio::test]
async fn a_room_is_public_unless_asked_otherwise() {
    let (app, user) = (TestApp::start().await, User::new());
    for body in [json!({ "name": "Tea" }), json!({ "name": "Tea", "visibility": null })] {
        let answer = app.post_as(&user, "/api/rooms/create", &body).await.expect(201);
        assert_eq!(answer.member("visibility"), "public");
    }
}

#[tokio::test]
async fn a_bad_room_is_refused_and_the_field_named() {
    let (app, user) = (TestApp::start().await, User::new());
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": 1 }), "name"),
        (json!({ "name": " " }), "name"),
        (json!({ "name": "a\u{0}b" }), "name"),
        (json!({ "name": "Tea\u{202e}aeT" }), "name"),
        (json!({ "name": "Te\u{200b}a" }), "name"),
        (json!({ "name": "Tea\r\nINFO" }), "name"),
        (json!({ "name": "a".repeat(101) }), "name"),
        (json!({ "name": "a", "visibility": "secret" }), "visibility"),
    ] {
        let answer = app.post_as(&user, "/api/rooms/create", &body).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn every_room_id_that_is_no_uuid_is_refused_and_named() {
    let (app, user) = (TestApp::start().await, User::new());
    for path in ["rooms/join", "rooms/leave", "rooms/invite", "rooms/remove", "messages/send"] {
        let body = json!({ "room_id": "lobby", "user_id": user.id, "message": "a" });
        let answer = app.post_as(&user, &format!("/api/{path}"), &body).await;
        let answer = answer.expect_error(400, "invalid_request");
        assert_eq!(answer.json["details"]["field"], "room_id");
        assert_eq!(answer.member("error"), "`room_id` must be a UUID");
    }
    for path in ["/api/rooms/lobby/members", "/api/messages/lobby"] {
        let _ = app.get_as(&user, path).await.expect_error(404, "room_not_found");
    }
}

#[tokio::test]
async fn own_rooms_are_listed_last_joined_first_page_by_page() {
    let (app, user, other) = (TestApp::start().await, User::new(), User::new());
    let mut rooms = Vec::new();
    for _ in 0..5 {
        rooms.insert(0, app.create_room(&user, "public").await.to_string());
    }
    app.create_room(&other, "public").await;
    let (mut seen, mut query) = (Vec::new(), String::new());
    loop {
        let page = app.get_as(&user, &format!("/api/rooms?limit=2{query}")).await.expect(200);
        for item in page.json["items"].as_array().unwrap() {
            assert_eq!((&item["name"], &item["visibility"]), (&json!("Tea"), &json!("public")));
            assert_eq!(item["last_seq"], 0);
            seen.push(item["room_id"].as_str().unwrap().to_owned());
        }
        if page.json["next_before"].is_null() {
            break;
        }
        query = format!("&before={}", page.member("next_before"));
    }
    assert_eq!(seen, rooms);
}

#[tokio::test]
async fn members_are_listed_page_by_page_and_to_members_only() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let third = User::new();
    let path = format!("/api/rooms/{room}/members?limit=2");
    let _ = app.get_as(&third, &path).await.expect_error(404, "room_not_found");
    let _ = app.join(&third, room).await.expect(200);
    let first = app.get_as(&third, &path).await.expect(200);
    let ids = |answer: &test_support::Answer| -> Vec<String> {
        let items = answer.json["items"].as_array().unwrap();
        items.iter().map(|item| item["user_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&first), [third.id.to_string(), other.id.to_string()]);
    let next = format!("{path}&before={}", first.member("next_before"));
    let last = app.get_as(&third, &next).await.expect(200);
    assert_eq!(ids(&last), [creator.id.to_string()]);
    assert!(last.json["next_before"].is_null());
}

#[tokio::test]
async fn bad_paging_is_refused() {
    let app = TestApp::start().await;
    let (room, creator, _) = app.room_of_two().await;
    for path in [
        "/api/rooms".to_owned(),
        format!("/api/rooms/{room}/members"),
        format!("/api/messages/{room}"),
    ] {
        for query in ["limit=0", "limit=201", "limit=x", "before=!", "before=bm90IGEga2V5"] {
            let answer = app.get_as(&creator, &format!("{path}?{query}")).await;
            let _ = answer.expect_error(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn every_endpoint_wants_a_good_token() {
    let app = TestApp::start().await;
    let room = Uuid::new_v4();
    let expired = User::with(ISSUER, -61);
    for (method, path) in [
        (Method::POST, "/api/rooms/create".to_owned()),
        (Method::POST, "/api/rooms/join".to_owned()),
        (Method::POST, "/api/rooms/leave".to_owned()),
        (Method::POST, "/api/rooms/invite".to_owned()),
        (Method::POST, "/api/rooms/remove".to_owned()),
        (Method::POST, "/api/messages/send".to_owned()),
        (Method::GET, "/api/rooms".to_owned()),
        (Method::GET, format!("/api/rooms/{room}/members")),
        (Method::GET, format!("/api/messages/{room}")),
        (Method::GET, "/api/ws".to_owned()),
    ] {
        let answer = send(app.request(method.clone(), &path)).await;
        let answer = answer.expect_error(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
        let request = app.request(method, &path).bearer_auth(&expired.token);
        let answer = send(request).await.expect_error(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
    }
}

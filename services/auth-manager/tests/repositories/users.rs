use auth_manager::models::user::{self, User};
use uuid::Uuid;

use crate::world::{World, at};

#[tokio::test]
async fn a_person_of_an_older_layout_is_found_by_the_subject_that_it_kept() {
    let mut world = World::new().await;
    let subject = Uuid::new_v4().to_string();
    let kept = User { id: Uuid::new_v4(), keycloak_id: Some(subject.clone()), created_at: at(1) };
    user::insert(&mut world.connection, &kept).await.unwrap();
    let connection = &mut world.connection;
    let found = user::find_by_keycloak_id(connection, &subject).await.unwrap();
    assert_eq!(found.unwrap().id, kept.id);
    // Where nothing was kept, the id was the subject.
    let itself = user::find_by_keycloak_id(connection, &world.user.to_string()).await.unwrap();
    assert_eq!(itself.unwrap().id, world.user);
    // Where something was, it is not.
    let other = user::find_by_keycloak_id(connection, &kept.id.to_string()).await.unwrap();
    assert!(other.is_none());
    assert!(user::find_by_keycloak_id(connection, "nobody").await.unwrap().is_none());
    assert_eq!(user::find(connection, kept.id).await.unwrap().unwrap().keycloak_id, Some(subject));
    assert!(user::find(connection, Uuid::new_v4()).await.unwrap().is_none());
}
